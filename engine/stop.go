package engine

import "strings"

// stopper finds stop strings in a text that arrives in pieces. It holds back
// the end of the text for as long as that may be the beginning of one.
type stopper struct {
	stops []string
	held  string
}

func newStopper(stops []string) *stopper {
	s := &stopper{}
	for _, stop := range stops {
		if stop != "" {
			s.stops = append(s.stops, stop)
		}
	}
	return s
}

// push adds text and returns what can be shown. If a stop string is complete,
// it returns the text before the one that is complete first and true, however
// the text is cut into pieces.
func (s *stopper) push(text string) (show string, stopped bool) {
	if len(s.stops) == 0 {
		return text, false
	}
	all := s.held + text
	from, to := -1, 0
	for _, stop := range s.stops {
		i := strings.Index(all, stop)
		if end := i + len(stop); i >= 0 && (from < 0 || end < to || end == to && i < from) {
			from, to = i, end
		}
	}
	if from >= 0 {
		s.held = ""
		return all[:from], true
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(all)); n > keep; n-- {
			if strings.HasSuffix(all, stop[:n]) {
				keep = n
				break
			}
		}
	}
	s.held = all[len(all)-keep:]
	return all[:len(all)-keep], false
}

// flush returns what was held back, when no more text comes.
func (s *stopper) flush() string {
	h := s.held
	s.held = ""
	return h
}
