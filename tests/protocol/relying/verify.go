// verify ROOT INTERMEDIATES LEAF: does Go's crypto/x509 accept the leaf for client authentication?
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func pool(file string) *x509.CertPool {
	data, err := os.ReadFile(file)
	fail(err)
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(data) {
		fail(fmt.Errorf("%s: no certificate", file))
	}
	return p
}

func main() {
	data, err := os.ReadFile(os.Args[3])
	fail(err)
	block, _ := pem.Decode(data)
	if block == nil {
		fail(fmt.Errorf("%s: not PEM", os.Args[3]))
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	fail(err)
	if len(leaf.UnhandledCriticalExtensions) != 0 {
		fail(fmt.Errorf("unhandled critical extensions: %v", leaf.UnhandledCriticalExtensions))
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots:         pool(os.Args[1]),
		Intermediates: pool(os.Args[2]),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	fail(err)
}
