package objc

import (
	"sync"
	"unsafe"
)

// A block literal and its descriptor (Clang's "Block Implementation Specification"). It is a global
// block: nothing is captured, so nobody copies or frees it, and one serves for ever.
type block struct {
	isa    uintptr
	flags  int32
	_      int32
	invoke uintptr
	desc   *blockDesc
}

type blockDesc struct {
	_         uintptr
	size      uintptr
	signature *byte
}

const (
	blockIsGlobal     = 1 << 28
	blockHasSignature = 1 << 30
)

// blocks finds the Go function of a block by its address. It is one for the process because a C
// address made of a Go function can never be given back: every block has the same invoke function.
var blocks struct {
	sync.RWMutex
	invoke uintptr
	fns    map[uintptr]*goBlock
}

type goBlock struct {
	literal block
	fn      func(a, b uintptr)
}

// NewBlock makes a block of up to two word arguments that calls fn, on whatever thread it is invoked.
// signature is its type encoding, "v16@?0@8". FreeBlock forgets it.
func (rt *Runtime) NewBlock(signature string, fn func(a, b uintptr)) uintptr {
	blocks.Lock()
	defer blocks.Unlock()
	if blocks.fns == nil {
		blocks.fns = map[uintptr]*goBlock{}
		blocks.invoke = rt.Callback(invokeBlock)
	}
	sig := append([]byte(signature), 0)
	g := &goBlock{fn: fn, literal: block{
		isa: rt.BlockISA, flags: blockIsGlobal | blockHasSignature, invoke: blocks.invoke,
		desc: &blockDesc{size: unsafe.Sizeof(block{}), signature: &sig[0]},
	}}
	id := uintptr(unsafe.Pointer(&g.literal))
	blocks.fns[id] = g
	return id
}

// FreeBlock forgets a block; it must not be invoked again.
func FreeBlock(id uintptr) {
	blocks.Lock()
	defer blocks.Unlock()
	delete(blocks.fns, id)
}

func invokeBlock(id, a, b uintptr) uintptr {
	blocks.RLock()
	g := blocks.fns[id]
	blocks.RUnlock()
	if g != nil {
		g.fn(a, b)
	}
	return 0
}

// BlockInvoke reads the address of a block's invoke function and its signature, as what receives a
// block does.
func BlockInvoke(id uintptr) (invoke uintptr, signature string) {
	b := (*block)(At(id))
	if b.flags&blockHasSignature != 0 {
		signature = ReadCString(uintptr(unsafe.Pointer(b.desc.signature)))
	}
	return b.invoke, signature
}
