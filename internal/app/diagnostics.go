package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// DiagnosticsSocket is the socket in a data or state folder at which the process that serves it says where its goroutines stand.
const DiagnosticsSocket = "diagnostics.sock"

// diagnostics answers at that socket until ctx ends. Who may enter the folder, and only they, may ask; the answer holds names of
// functions and how many goroutines are in them, no values. A folder in which there can be no socket does without: a path may be too long.
func diagnostics(ctx context.Context, dir string, log *slog.Logger) {
	path := filepath.Join(dir, DiagnosticsSocket)
	_ = os.Remove(path) // of a process that was killed: the folder is held by us alone
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		log.Debug("goroutines cannot be asked for", "error", err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /goroutines", func(w http.ResponseWriter, _ *http.Request) {
		_ = pprof.Lookup("goroutine").WriteTo(w, 1) // the client is gone if this fails
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		log.Debug("goroutines cannot be asked for any more", "error", err)
	}
}
