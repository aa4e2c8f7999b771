package metal

import (
	"errors"
	"fmt"

	"github.com/gollm/gollm/metal/internal/objc"
)

// ErrUnavailable is what Open's error wraps where there is no Metal device.
var ErrUnavailable = errors.New("no Metal device")

// ErrNotSupported is what the errors of features wrap that this system or GPU does not have.
var ErrNotSupported = errors.New("not supported here")

// Error is an error of Metal in its own words.
type Error struct {
	Op       string // what was being done: `library from source "q4"`
	Domain   string // "MTLCommandBufferErrorDomain"
	Code     int    // for a command buffer one of the Code constants
	Text     string // localizedDescription
	Encoders []EncoderStatus
}

func (e *Error) Error() string {
	s := "metal: " + e.Op + ": " + e.Text
	for _, n := range e.Encoders {
		if n.State == EncoderFaulted {
			s += fmt.Sprintf(" (encoder %q faulted)", n.Label)
		}
	}
	return s
}

// Codes of an Error whose Domain is "MTLCommandBufferErrorDomain".
const (
	CodeInternal        = objc.MTLCommandBufferErrorInternal
	CodeTimeout         = objc.MTLCommandBufferErrorTimeout
	CodePageFault       = objc.MTLCommandBufferErrorPageFault
	CodeIgnored         = objc.MTLCommandBufferErrorAccessRevoked // prior errors: the process gets no more GPU
	CodeNotPermitted    = objc.MTLCommandBufferErrorNotPermitted
	CodeOutOfMemory     = objc.MTLCommandBufferErrorOutOfMemory
	CodeInvalidResource = objc.MTLCommandBufferErrorInvalidResource
	CodeDeviceRemoved   = objc.MTLCommandBufferErrorDeviceRemoved
)

// EncoderStatus tells what became of one encoder of a failed command buffer, in encoding order. It is
// there when the queue was made with EncoderStatus.
type EncoderStatus struct {
	Label string
	State EncoderState
}

// EncoderState is MTLCommandEncoderErrorState.
type EncoderState int

const (
	EncoderUnknown   EncoderState = objc.MTLCommandEncoderErrorStateUnknown
	EncoderCompleted EncoderState = objc.MTLCommandEncoderErrorStateCompleted
	EncoderAffected  EncoderState = objc.MTLCommandEncoderErrorStateAffected // may have run beside the one at fault
	EncoderPending   EncoderState = objc.MTLCommandEncoderErrorStatePending  // had not started
	EncoderFaulted   EncoderState = objc.MTLCommandEncoderErrorStateFaulted
)

func (s EncoderState) String() string {
	switch s {
	case EncoderCompleted:
		return "completed"
	case EncoderAffected:
		return "affected"
	case EncoderPending:
		return "pending"
	case EncoderFaulted:
		return "faulted"
	}
	return "unknown"
}

// failure reads an NSError; a pool must be open.
func failure(c *objc.Caller, op string, id uintptr) *Error {
	e := &Error{Op: op, Text: "Metal gave no reason"}
	if id != 0 {
		e.Text = c.GoString(c.Send(objc.NSErrorLocalizedDescription, id))
		e.Domain = c.GoString(c.Send(objc.NSErrorDomain, id))
		e.Code = int(c.Send(objc.NSErrorCode, id))
	}
	return e
}

// encoderStatus reads what the error of a command buffer tells of its encoders.
func encoderStatus(c *objc.Caller, id uintptr) []EncoderStatus {
	key := c.Runtime().EncoderInfos
	if id == 0 || key == 0 {
		return nil
	}
	info := c.Send(objc.NSErrorUserInfo, id)
	if info == 0 {
		return nil
	}
	list := c.Send(objc.NSDictionaryObjectForKey, info, key)
	if list == 0 {
		return nil
	}
	all := make([]EncoderStatus, int(c.Send(objc.NSArrayCount, list)))
	for i := range all {
		e := c.Send(objc.NSArrayObjectAtIndex, list, uintptr(i))
		all[i] = EncoderStatus{
			Label: c.GoString(c.Send(objc.CommandBufferEncoderInfoLabel, e)),
			State: EncoderState(c.Send(objc.CommandBufferEncoderInfoErrorState, e)),
		}
	}
	return all
}
