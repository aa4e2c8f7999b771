package msl

// check refuses what Apple's compiler refuses and clang does not.
func (u *unit) check() {}
