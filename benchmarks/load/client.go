package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// An API, and who asks it.
type api struct {
	url, ca, token string
}

func (a *api) flags(set *flag.FlagSet, prefix string) {
	set.StringVar(&a.url, prefix+"url", "", "the API")
	set.StringVar(&a.ca, prefix+"ca", "", "PEM `file`: who vouches for its certificate")
	set.StringVar(&a.token, prefix+"token", "", "a bearer token")
}

// A client whose connections are its own. HTTP/1.1 throughout: the Emitter speaks nothing else, and
// a client that shared one connection would measure something else at the API server.
func (a *api) client() *http.Client {
	transport := &http.Transport{
		DisableCompression:  true,
		MaxIdleConnsPerHost: 1000,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	if a.ca != "" {
		pem, err := os.ReadFile(a.ca)
		must(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return &http.Client{Transport: transport}
}

func (a *api) request(method, path string, body []byte) *http.Request {
	request, err := http.NewRequest(method, a.url+path, bytes.NewReader(body))
	must(err)
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	// Not Go's own: an old API server takes some agents for browsers.
	request.Header.Set("User-Agent", "load")
	request.Header.Set("Accept", "application/json")
	return request
}

// The answer to a request, which must be 2xx.
func (a *api) answer(client *http.Client, request *http.Request) *http.Response {
	response, err := client.Do(request)
	must(err)
	if response.StatusCode/100 != 2 {
		told, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		fail("%s %s: %s %s", request.Method, request.URL.Path, response.Status, strings.TrimSpace(string(told)))
	}
	return response
}

func (a *api) do(client *http.Client, method, path string, body []byte) []byte {
	response := a.answer(client, a.request(method, path, body))
	defer response.Body.Close()
	told, err := io.ReadAll(response.Body)
	must(err)
	return told
}

// What an object carries in the annotation `sent`: when it was changed, in nanoseconds since 1970,
// in a text that is always as long, so that it can be replaced in whatever it is encoded.
const (
	stampName   = "benchmark/sent"
	stampDigits = 19
)

func stamp() []byte {
	told := make([]byte, 0, stampDigits)
	for now := time.Now().UnixNano(); now > 0; now /= 10 {
		told = append(told, byte('0'+now%10))
	}
	for i, j := 0, len(told)-1; i < j; i, j = i+1, j-1 {
		told[i], told[j] = told[j], told[i]
	}
	return told
}

// The place of the stamp in an encoded object; -1 where there is none.
func stampAt(object []byte) int {
	at := bytes.Index(object, []byte(stampName))
	if at < 0 {
		return -1
	}
	at += len(stampName)
	for end := at + 10; at < end && at+stampDigits <= len(object); at++ {
		if allDigits(object[at : at+stampDigits]) {
			return at
		}
	}
	return -1
}

func allDigits(text []byte) bool {
	for _, one := range text {
		if one < '0' || one > '9' {
			return false
		}
	}
	return true
}

// How long ago the object was changed; negative where it does not tell.
func age(object []byte, now time.Time) time.Duration {
	at := stampAt(object)
	if at < 0 {
		return -1
	}
	var sent int64
	for _, digit := range object[at : at+stampDigits] {
		sent = sent*10 + int64(digit-'0')
	}
	return time.Duration(now.UnixNano() - sent)
}
