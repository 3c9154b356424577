package gateway

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
)

// problem is an error as the OpenAI API spells it:
// {"error":{"message","type","param","code"}}. Clients decide by code; message is for their developers.
type problem struct {
	status  int
	typ     string
	code    string
	param   string // the field at fault as messages[0].content[1].type
	message string
	after   int  // seconds for Retry-After, 0 for none
	retry   bool // whether official SDKs should try again by themselves
}

func (p *problem) Error() string { return p.code }

const (
	typeRequest = "invalid_request_error"
	typeAuth    = "authentication_error"
	typeServer  = "service_unavailable_error"
	typeUp      = "upstream_error"
	typePolicy  = "policy_error"
)

func badRequest(code, param, message string) *problem {
	return &problem{status: http.StatusBadRequest, typ: typeRequest, code: code, param: param, message: message}
}

func unavailable(code, message string) *problem {
	return &problem{status: http.StatusServiceUnavailable, typ: typeServer, code: code, message: message}
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    string  `json:"code"`
}

func (p *problem) json() []byte {
	d := errorDetail{Message: p.message, Type: p.typ, Code: p.code}
	if p.param != "" {
		d.Param = &p.param
	}
	body, err := json.Marshal(errorBody{d})
	if err != nil { // a param that is not UTF-8 cannot get here; keep the shape all the same
		return []byte(`{"error":{"message":"internal","type":"service_unavailable_error","param":null,"code":"internal"}}`)
	}
	return body
}

func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.after > 0 {
		h.Set("Retry-After", strconv.Itoa(p.after))
	}
	if !p.retry {
		h.Set("X-Should-Retry", "false") // the official SDKs retry 429 and 5xx by themselves unless told not to
	}
	body := p.json()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.status)
	_, _ = w.Write(body)
}
