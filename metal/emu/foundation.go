package emu

import (
	"unsafe"

	"github.com/gollm/gollm/metal/internal/objc"
)

type (
	nsString struct {
		s string
		c []byte // with the NUL, for UTF8String
	}
	nsURL   struct{ path string }
	nsError struct {
		domain string
		code   int
		text   string
		info   *object // NSDictionary, or nil
	}
	nsArray      struct{ list []*object }
	nsDictionary struct{ keys, values []*object }
	nsData       struct{ b []byte }
)

func (a *nsArray) dealloc(m *Machine) {
	for _, o := range a.list {
		m.drop(o)
	}
}

func (d *nsDictionary) dealloc(m *Machine) {
	for i := range d.keys {
		m.drop(d.keys[i])
		m.drop(d.values[i])
	}
}

func (e *nsError) dealloc(m *Machine) { m.drop(e.info) }

func (m *Machine) string(s string) *object { return m.add("NSString", &nsString{s: s}) }

// array makes an NSArray that holds its objects.
func (m *Machine) array(list []*object) *object {
	for _, o := range list {
		m.hold(o)
	}
	return m.add("NSArray", &nsArray{list})
}

// owned gives an object just made to its only holder: the program has no reference to it.
func (m *Machine) owned(o *object) *object {
	m.hold(o)
	o.refs--
	return o
}

// blank is the data of an object of a class before it has any.
func blank(class string) any {
	switch class {
	case "NSString":
		return &nsString{}
	case "NSURL":
		return &nsURL{}
	case "NSArray":
		return &nsArray{}
	case "NSDictionary":
		return &nsDictionary{}
	case "MTLFunctionConstantValues":
		return &constantValues{}
	case "MTLComputePassDescriptor":
		return &passDescriptor{}
	}
	return nil
}

// text is what a string says, "" for nil and for what is no string.
func text(o *object) string {
	if o != nil {
		if s, ok := o.data.(*nsString); ok {
			return s.s
		}
	}
	return ""
}

var foundationHandlers = map[objc.Message]func(*call) uintptr{
	objc.NSObjectAlloc: func(c *call) uintptr { return c.m.add(c.self.class, blank(c.self.class)).id },
	objc.NSObjectNew:   func(c *call) uintptr { return c.m.add(c.self.class, blank(c.self.class)).id },
	objc.NSObjectRetain: func(c *call) uintptr {
		c.self.refs++
		return c.self.id
	},
	objc.NSObjectRelease: func(c *call) uintptr {
		c.m.release(c.self)
		return 0
	},
	objc.NSObjectRespondsToSelector: func(c *call) uintptr { return boolWord(c.m.answers(c.self, c.args[0].word)) },

	objc.NSStringInitWithBytes: func(c *call) uintptr {
		n := int(c.args[1].word)
		if n > 0 && !c.need(0) {
			return 0
		}
		c.self.data = &nsString{s: string(bytesAt(c.args[0].word, n))}
		return c.self.id
	},
	objc.NSStringUTF8String: func(c *call) uintptr {
		s := c.self.data.(*nsString)
		if s.c == nil {
			s.c = append([]byte(s.s), 0)
		}
		return uintptr(unsafe.Pointer(&s.c[0])) // lives as long as the string, as Foundation has it
	},
	objc.NSURLFileURLWithPath: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		return c.autorelease(c.m.add("NSURL", &nsURL{text(c.args[0].obj)})).id
	},

	objc.NSErrorLocalizedDescription: func(c *call) uintptr {
		return c.autorelease(c.m.string(c.self.data.(*nsError).text)).id
	},
	objc.NSErrorDomain: func(c *call) uintptr {
		return c.autorelease(c.m.string(c.self.data.(*nsError).domain)).id
	},
	objc.NSErrorCode: func(c *call) uintptr { return uintptr(c.self.data.(*nsError).code) },
	objc.NSErrorUserInfo: func(c *call) uintptr {
		if info := c.self.data.(*nsError).info; info != nil {
			return c.lend(info)
		}
		return 0
	},

	objc.NSArrayArrayWithObject: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		return c.autorelease(c.m.array([]*object{c.args[0].obj})).id
	},
	objc.NSArrayCount: func(c *call) uintptr { return uintptr(len(c.self.data.(*nsArray).list)) },
	objc.NSArrayObjectAtIndex: func(c *call) uintptr {
		list, i := c.self.data.(*nsArray).list, c.args[0].word
		if i >= uintptr(len(list)) {
			c.broke(IndexRange, "index %d of an array of %d", i, len(list))
			return 0
		}
		return c.lend(list[i])
	},
	objc.NSDictionaryDictionaryWithObjects: func(c *call) uintptr {
		n := int(c.args[2].word)
		values, ok := c.objects(c.args[0].word, n, "id")
		if !ok {
			return 0
		}
		keys, ok := c.objects(c.args[1].word, n, "id")
		if !ok {
			return 0
		}
		for i := range n {
			if keys[i] == nil || values[i] == nil {
				c.broke(NilArgument, "key or value %d is nil", i)
				return 0
			}
			c.m.hold(keys[i])
			c.m.hold(values[i])
		}
		return c.autorelease(c.m.add("NSDictionary", &nsDictionary{keys, values})).id
	},
	objc.NSDictionaryObjectForKey: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		d, key := c.self.data.(*nsDictionary), c.args[0].obj
		for i, k := range d.keys {
			if k == key || k.class == "NSString" && key.class == "NSString" && text(k) == text(key) {
				return c.lend(d.values[i])
			}
		}
		return 0
	},
	objc.NSDataBytes: func(c *call) uintptr {
		return uintptr(unsafe.Pointer(unsafe.SliceData(c.self.data.(*nsData).b)))
	},
	objc.NSDataLength: func(c *call) uintptr { return uintptr(len(c.self.data.(*nsData).b)) },
}

// lend returns an object another one owns: retained and autoreleased, as Foundation's accessors do.
func (c *call) lend(o *object) uintptr {
	if !o.fixed {
		o.refs++
		c.autorelease(o)
	}
	return o.id
}

func boolWord(b bool) uintptr {
	if b {
		return 1
	}
	return 0
}
