package emu

import (
	"testing"

	"github.com/gollm/gollm/metal/internal/objc"
)

// FuzzMessages sends messages in any order to any objects with any objects and small numbers as
// arguments. The emulator may find rules broken; it must not fall over.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("abcdefgh"))
	f.Add([]byte{0, 0, 0, 0, 5, 1, 2, 3, 9, 9, 9, 9, 200, 100, 50, 25})
	seed := make([]byte, 4000)
	for i := range seed {
		seed[i] = byte(i * i >> 3)
	}
	f.Add(seed)
	f.Fuzz(sendScript)
}

func sendScript(t *testing.T, script []byte) {
	next := func() int {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return int(b)
	}
	_, _ = offend(t, Options{Darwin: 22 + len(script)%4}, func(r *raw) {
		all := []uintptr{r.dev, r.q, r.cb, r.e, r.buf, r.String("add"), r.New("MTLCompileOptions")}
		for _, c := range objc.Classes {
			all = append(all, r.m.rt.ClassID(c))
		}
		r.Send(objc.CompileOptionsSetLanguageVersion, all[6], objc.MTLLanguageVersion3_0)
		for len(script) > 0 {
			m := objc.Message(next() % objc.Messages)
			switch m {
			case objc.CommandBufferWaitUntilCompleted, objc.CommandBufferEncodeWaitForEvent, objc.CommandBufferEnqueue: // may block for ever
				continue
			case objc.BinaryArchiveSerializeToURL, objc.CaptureManagerStopCapture: // write files of any name
				continue
			}
			// Half of the messages go to an object that answers them.
			self := all[next()%len(all)]
			if next()%2 == 0 {
				for i := range all {
					if o, ok := (&call{m: r.m}).object(all[(i+next())%len(all)]); ok {
						if got, ok := lookUp(o, m.Decl().Selector); ok && got == m {
							self = o.id
							break
						}
					}
				}
			}
			var args []uintptr
			sizes := [2]objc.Dim{}
			n := 0
			for _, a := range m.Decl().Args {
				switch a.Kind {
				case objc.Object:
					args = append(args, all[next()%len(all)])
				case objc.Block:
					args = append(args, 0)
				case objc.Pointer, objc.CString, objc.ObjectArray, objc.UIntegerList:
					args = append(args, r.BytesAddr())
				case objc.ObjectOut, objc.Words:
					args = append(args, r.OutAddr(n%2))
				case objc.Size:
					sizes[n] = objc.Dim{W: uint64(next()), H: uint64(next() % 4), D: uint64(next() % 2)}
					n++
				case objc.Range:
					args = append(args, uintptr(next()), uintptr(next()%40))
				case objc.Selector:
					args = append(args, r.m.rt.SelID(m))
				default:
					args = append(args, uintptr(next()%70))
				}
			}
			if n > 0 {
				r.SendSizes(m, self, &sizes, n, args...)
			} else if id := r.Send(m, self, args...); id != 0 && m.Decl().Ret.Kind == objc.Object && len(all) < 200 {
				all = append(all, id)
			}
		}
	})
}

// FuzzFiles opens files of any content as an archive and as a library.
func FuzzFiles(f *testing.F) {
	good, err := seal(archiveMagic, archive{Chip: "Apple M1", Darwin: 25, Keys: map[string]bool{"k": true}})
	if err != nil {
		f.Fatal(err)
	}
	lib, err := seal(metallibMagic, metallib{Source: "add", Language: 0x30001})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(lib)
	f.Add([]byte("MTLB"))
	f.Fuzz(func(t *testing.T, file []byte) {
		var a archive
		if err := unseal(archiveMagic, file, &a); err == nil {
			if again, err := seal(archiveMagic, a); err != nil || len(again) == 0 {
				t.Errorf("an archive that was read cannot be written: %v", err)
			}
		}
		var l metallib
		_ = l.parse(file)
	})
}
