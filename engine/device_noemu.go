//go:build !emu

package engine

import "errors"

const emulated = false

func openEmulator() (*device, error) {
	return nil, errors.New("device emu: this program was built without it (go build -tags emu)")
}
