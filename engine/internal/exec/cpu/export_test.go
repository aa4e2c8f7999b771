package cpu

// Asleep returns how many workers of e sleep.
func Asleep(e *Executor) (n int) {
	for i := range e.team.barrier.sleeper {
		if e.team.barrier.sleeper[i].asleep.Load() {
			n++
		}
	}
	return n
}
