package program

// A Feeder is a Runner that can pick the token after a step itself, the first of
// the largest values of a result's row, and give it to the step that follows. Its
// steps can so be started ahead: one is written and encoded while the one before
// it still runs.
//
//	Feed(step of tokens); Feed(step without)
//	for { Picked(); Feed(step without) }
type Feeder interface {
	Runner

	// Feed starts a step and returns before it is done. A step without Tokens takes
	// those that the step fed before it picks, one for each of that one's outputs; a
	// step with Tokens must be the only one under way. At most FeedAhead steps are
	// under way at once. There is no Result of them. An error leaves the steps under way as they were.
	Feed(s *Step) error

	// Picked waits for the oldest step under way and returns the token it picked for
	// each output, valid until the next call; -1 where no value is the largest, since
	// one is not a number, or all are infinite. An error ends all steps under way.
	Picked() ([]int32, error)

	// Drop waits for the steps under way, and forgets what they picked. Run does so
	// too, before it begins.
	Drop()
}

// FeedAhead is how many steps of a Feeder may be under way at once.
const FeedAhead = 2
