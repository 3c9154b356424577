package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// File appends messages to a file, one JSON object a line. It stands in for an authority or a platform
// where these are simulated, and is the plainest second channel: a file on another disk that something
// else watches.
// A line may come twice; its idempotency_key tells.
type File struct {
	path string
	mu   sync.Mutex
}

// NewFile makes a file channel; the file is created with mode 0600 at the first message.
func NewFile(path string) *File { return &File{path: path} }

// Send appends r and syncs. The receipt is the offset at which the line begins.
func (f *File) Send(ctx context.Context, r Rendered) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	kind, id := r.Object()
	line, err := json.Marshal(webhookBody{
		IdempotencyKey: r.IdemKey(), IncidentKind: r.IncidentKind(), Object: webhookObject{kind, id}, Template: r.Template(),
		Lang: string(r.Lang()), Recipient: r.Recipient(), Subject: r.Subject(), Body: r.Body(), QueuedMs: r.AtMs(),
	})
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// To open a pipe would wait for its reader, deaf to ctx.
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return "", errors.New("file channel: not a regular file")
	}
	// Opened for each message, so that the file may be rotated away at any time.
	out, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer out.Close()
	offset, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		return "", err
	}
	if err := out.Sync(); err != nil {
		return "", err
	}
	return fmt.Sprintf("file %d", offset), nil
}
