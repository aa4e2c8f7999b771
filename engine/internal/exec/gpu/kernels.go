package gpu

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/gollm/gollm/shaders/pipelines"
)

// kernels compiles what launches name, once each.
type kernels struct {
	*pipelines.Cache
	progress func(done, total int) // see Executor.ShowCompiling; may be nil
}

// want is a pipeline that is needed, and what for.
type want struct {
	key  pipelines.Key
	what func() string
}

// compile makes the pipelines that are missing, as many at once as there are
// processors.
func (k *kernels) compile(list []want) error {
	var group sync.WaitGroup
	errs := make([]error, len(list))
	done := k.counter(len(list))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, w := range list {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if _, err := k.Pipeline(w.key); err != nil {
				errs[i] = fmt.Errorf("gpu: %s: kernel %s: %w", w.what(), w.key.Kernel.Name, err)
			}
			done()
		})
	}
	group.Wait()
	for _, err := range errs { // in the order of the program
		if err != nil {
			return err
		}
	}
	if k.Archive != nil {
		// Without the file the next start is slower, and nothing worse: a full disk must
		// not keep a model from running.
		_ = k.Archive.Save()
	}
	return nil
}

// counter returns what to call for each of total pipelines when it is made: it
// tells of progress once that takes longer than patience, and of the end if it has
// told of anything.
func (k *kernels) counter(total int) func() {
	if k.progress == nil {
		return func() {}
	}
	var mu sync.Mutex
	begun, done, told := time.Now(), 0, false
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		if told || done < total && time.Since(begun) > patience {
			told = true
			k.progress(done, total)
		}
	}
}

// patience is how long kernels are compiled without a word.
const patience = time.Second
