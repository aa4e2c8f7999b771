package prompt

import "golang.org/x/sys/unix"

// Quiet keeps what is typed off the screen, until restore is called: between
// two Reads, while something else is shown. Ctrl-C is a signal then, and other
// keys wait for the next Read.
func (p *Prompt) Quiet() (restore func()) {
	fd := int(p.in.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return func() {}
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO | unix.ICANON
	quiet.Iflag &^= unix.ICRNL
	if unix.IoctlSetTermios(fd, setTermios, &quiet) != nil {
		return func() {}
	}
	return func() { unix.IoctlSetTermios(fd, setTermios, before) }
}
