package gguf

import "fmt"

// A FormatError reports what is wrong with the contents of a file, and where.
type FormatError struct {
	Path   string // the file; of a split model, the part
	Item   string // what was read: `header`, `key "general.name"`, `tensor "output.weight"`
	Offset int64  // position in the file of what was read
	Reason string // what is wrong with it
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("gguf: %s: %s at byte %d: %s", e.Path, e.Item, e.Offset, e.Reason)
}
