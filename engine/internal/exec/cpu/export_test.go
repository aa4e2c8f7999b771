package cpu

// Asleep returns how many workers of e sleep: at the barrier, or sent off and ready
// to be let in again.
func Asleep(e *Executor) (n int) {
	for i := range e.team.barrier.sleeper {
		if e.team.barrier.sleeper[i].asleep.Load() || e.team.members[i].ready.Load() {
			n++
		}
	}
	return n
}
