package store

import (
	"context"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A host that vanishes says nothing: without these, whoever waits for its answer waits for the kernel, a quarter of an hour.
const (
	lineIdle   = 5 * time.Second  // then the kernel asks whether the other side is there
	lineSilent = 10 * time.Second // then what was sent and not received, or asked and not answered, ends the connection
)

const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT of Linux, in milliseconds; see tcp(7)

// dial opens a line to the server that ends by itself when nobody is at its other end.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: lineIdle, Interval: 2 * time.Second, Count: 3}}
	c, err := d.DialContext(ctx, network, address)
	t, ok := c.(*net.TCPConn)
	if err != nil || !ok || runtime.GOOS != "linux" {
		return c, err
	}
	raw, err := t.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(lineSilent.Milliseconds())) // without it the keepalive is left
		})
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// answerWithin is how long a server may take to say that it is there.
var answerWithin = 3 * time.Second

// there asks whether somebody answers on a connection, whose line may stand without anybody at its other end.
func there(ctx context.Context, c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return c.Ping(ctx)
}
