package app

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// LockFile is the file in a data folder that the process holds which serves it.
const LockFile = "serving.lock"

// Alone holds the data folder for this process until its end, however it ends. Two servers on one folder
// would each have a gateway that hears nothing of the orders given at the other. Work offline needs no
// hold: it runs beside a server. Error: fault conflict app.folder_in_use.
func Alone(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.Conflict("data", "app.folder_in_use", "folder", dir)
		}
		return nil, err
	}
	return f.Close, nil
}
