"""Real programs for the gallery: Go static and cgo, C against glibc and musl, for other processors and systems.

Everything is made by the toolchains of this machine from the sources below, into one directory that is the build
context of every case.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["make_programs"]

GO_HELLO = """\
package main

import "os"

func main() {
\tos.Stdout.WriteString("hello from go\\n")
}
"""
GO_BARE = """\
package main

func main() {
\tprintln("hello")
}
"""
GO_CGO = """\
package main

// static int answer(void) { return 42; }
import "C"
import "fmt"

func main() {
\tfmt.Println("the answer is", C.answer())
}
"""
GO_SERVER = """\
package main

import (
\t"fmt"
\t"net"
\t"net/http"
)

func main() {
\thttp.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
\tlistener, err := net.Listen("tcp", "127.0.0.1:0")
\tif err != nil {
\t\tpanic(err)
\t}
\tgo http.Serve(listener, nil)
\tfmt.Println("serving")
}
"""
GO_CERTIFICATES = """\
package main

import (
\t"crypto/ecdsa"
\t"crypto/elliptic"
\t"crypto/rand"
\t"crypto/x509"
\t"crypto/x509/pkix"
\t"encoding/pem"
\t"math/big"
\t"os"
\t"time"
)

func main() {
\tca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gallery"}, IsCA: true,
\t\tNotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0), BasicConstraintsValid: true,
\t\tKeyUsage: x509.KeyUsageCertSign}
\tcaKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
\tcaDer, _ := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
\tleaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"api.acme.test"},
\t\tNotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0)}
\tkey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
\tleafDer, _ := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
\tkeyDer, _ := x509.MarshalECPrivateKey(key)
\tcaPem := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDer})
\tos.WriteFile(os.Args[1]+"/ca.pem", caPem, 0o644)
\tos.WriteFile(os.Args[1]+"/leaf", leafDer, 0o644)
\tos.WriteFile(os.Args[1]+"/key", keyDer, 0o644)
}
"""
GO_CLIENT = """\
package main

import (
\t"context"
\t"crypto/tls"
\t"crypto/x509"
\t_ "embed"
\t"fmt"
\t"net"
\t"net/http"
\t"os"
)

//go:embed leaf
var leaf []byte

//go:embed key
var der []byte

func main() {
\tkey, err := x509.ParseECPrivateKey(der)
\tif err != nil {
\t\tpanic(err)
\t}
\tpair := tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}
\tlistener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
\tif err != nil {
\t\tpanic(err)
\t}
\tserver := &http.Server{Handler: http.NotFoundHandler()}
\tgo server.Serve(listener)
\tdial := func(ctx context.Context, network, address string) (net.Conn, error) {
\t\treturn new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
\t}
\tclient := &http.Client{Transport: &http.Transport{DialContext: dial}}
\tanswer, err := client.Get("https://api.acme.test/")
\tif err != nil {
\t\tfmt.Println(err)
\t\tos.Exit(1)
\t}
\tfmt.Println(answer.Status)
}
"""
GO_ZONES = """\
package main

import (
\t"fmt"
\t"os"
\t"time"
)

func main() {
\tzone, err := time.LoadLocation("Europe/Berlin")
\tif err != nil {
\t\tfmt.Println(err)
\t\tos.Exit(1)
\t}
\tfmt.Println(time.Unix(0, 0).In(zone).Format("15:04"), time.Local)
}
"""
GO_USERS = """\
package main

import (
\t"fmt"
\t"os"
\t"os/user"
)

func main() {
\tfound, err := user.Lookup("nobody")
\tif err != nil {
\t\tfmt.Println(err)
\t\tos.Exit(1)
\t}
\tfmt.Println(found.Username)
}
"""
GO_LIBRARY = """\
package library

func Answer() int { return 42 }
"""

C_HELLO = '#include <stdio.h>\nint main(void) { puts("hello from c"); return 0; }\n'
C_CHECKED = '#include <stdio.h>\nint main(int n, char **a) { printf("%d %s\\n", n, a[0]); return 0; }\n'
C_GREET = "#include <stdio.h>\nvoid greet(void);\nint main(void) { greet(); return 0; }\n"
C_GREET_2 = "void greet2(void);\nint main(void) { greet2(); return 0; }\n"
C_LIBRARY = '#include <stdio.h>\nvoid greet(void) { puts("greetings"); }\n'
C_LIBRARY_2 = C_LIBRARY + "void greet2(void) { greet(); }\n"
C_OUTER = "void greet(void);\nvoid outer(void) { greet(); }\n"
C_USES_OUTER = "void outer(void);\nint main(void) { outer(); return 0; }\n"
C_FUTURE_LIBC = "int puts(const char *text) { return 0; }\nint __libc_start_main(void) { return 0; }\n"
VERSIONS_1 = "GREET_1 { greet; };\n"
VERSIONS_2 = "GREET_1 { greet; };\nGREET_2 { greet2; } GREET_1;\n"
VERSIONS_FUTURE = "GLIBC_2.2.5 { };\nGLIBC_2.34 { __libc_start_main; } GLIBC_2.2.5;\nGLIBC_2.99 { puts; } GLIBC_2.34;\n"


def _run(*command: str, cwd: Path, **variables: str) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "GOCACHE", "TMPDIR") if name in os.environ}
    path = f"{kept.get('PATH', '')}:/usr/local/go/bin"
    settings = {"GOENV": "off", "GOTOOLCHAIN": "local", "GO111MODULE": "on", "CGO_ENABLED": "0", "LC_ALL": "C"}
    env = {**kept, **settings, "PATH": path, **variables}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


class _Workshop:
    """Sources in one directory, programs in another."""

    def __init__(self, work: Path, out: Path) -> None:
        self.work = work
        self.out = out

    def module(self, name: str, source: str) -> Path:
        directory = self.work / name
        directory.mkdir()
        (directory / "go.mod").write_text(f"module example.com/{name}\n\ngo 1.18\n")
        (directory / "main.go").write_text(source)
        return directory

    def changed_copy(self, name: str, source: str) -> Path:
        """A module in a git working copy that differs from its one commit, which is the same whoever makes it."""
        directory = self.module(name, source)
        who = {"NAME": "gallery", "EMAIL": "gallery@example.com", "DATE": "2024-01-01T00:00:00Z"}
        variables = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
        variables |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "all"]):
            _run("git", *words, cwd=directory, **variables)
        (directory / "main.go").write_text(f"{source}\n// changed\n")
        return directory

    def go(self, directory: Path, name: str, *flags: str, **variables: str) -> None:
        plain = ("-trimpath", "-ldflags=-s -w") if "-gcflags=all=-N -l" not in flags else ()
        _run("go", "build", *plain, *flags, "-o", str(self.out / name), ".", cwd=directory, **variables)

    def c(self, source: str, name: str, *flags: str, compiler: str = "gcc", after: Sequence[str] = ()) -> None:
        file = self.work / f"{name.replace('/', '-')}.c"
        file.write_text(source)
        _run(compiler, "-o", str(self.out / name), *flags, str(file), *after, cwd=self.out)

    def versions(self, text: str) -> str:
        file = self.work / f"{len(list(self.work.iterdir()))}.map"
        file.write_text(text)
        return f"-Wl,--version-script={file}"


def _make_go(shop: _Workshop) -> None:
    shop.go(shop.module("hello", GO_HELLO), "go-hello")
    shop.go(shop.work / "hello", "go-debug", "-gcflags=all=-N -l")
    shop.go(shop.work / "hello", "go-race", "-race", CGO_ENABLED="1")
    shop.go(shop.changed_copy("changed", GO_HELLO), "go-changed", "-buildvcs=true")
    bare = shop.module("bare", GO_BARE)
    for name, variables in {
        "go-arm64": {"GOARCH": "arm64"},
        "go-arm-v7": {"GOARCH": "arm", "GOARM": "7"},
        "go-386": {"GOARCH": "386"},
        "go-v3": {"GOAMD64": "v3"},
        "go-windows": {"GOOS": "windows"},
        "go-darwin": {"GOOS": "darwin"},
    }.items():
        shop.go(bare, name, **variables)
    shop.go(shop.module("cgo", GO_CGO), "go-cgo", CGO_ENABLED="1")
    shop.go(shop.module("server", GO_SERVER), "go-server")
    shop.go(shop.work / "server", "go-server-whole", "-ldflags=")
    shop.go(shop.module("certificates", GO_CERTIFICATES), "../make-certificates")
    client = shop.module("client", GO_CLIENT)
    _run(str(shop.out / "../make-certificates"), str(client), cwd=client)
    shutil.copy(client / "ca.pem", shop.out / "ca.pem")
    shop.go(client, "go-client")
    zones = shop.module("zones", GO_ZONES)
    shop.go(zones, "go-zones")
    shop.go(zones, "go-zones-embedded", "-tags=timetzdata")
    shop.go(shop.module("users", GO_USERS), "go-users")
    shop.go(shop.module("library", GO_LIBRARY), "go-library")


def _make_c(shop: _Workshop) -> None:
    shop.c(C_HELLO, "c-glibc")
    shop.c(C_HELLO, "c-static", "-static")
    shop.c(C_HELLO, "c-static-pie", "-static-pie")
    shop.c(C_HELLO, "c-object", "-c")
    shop.c(C_HELLO, "c-musl", compiler="musl-gcc")
    shop.c(C_HELLO, "c-musl-static", "-static", compiler="musl-gcc")
    shop.c(C_CHECKED, "c-checked", "-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2")
    shared, soname = ("-shared", "-fPIC"), "-Wl,-soname,libgreet.so.1"
    for old_or_new in ("old", "new"):
        (shop.out / old_or_new).mkdir()
    shop.c(C_LIBRARY, "old/libgreet.so.1", *shared, soname, shop.versions(VERSIONS_1))
    shop.c(C_LIBRARY_2, "new/libgreet.so.1", *shared, soname, shop.versions(VERSIONS_2))
    old, new = str(shop.out / "old/libgreet.so.1"), str(shop.out / "new/libgreet.so.1")
    shop.c(C_GREET, "c-greet", after=[old])
    shop.c(C_GREET, "c-greet-origin", "-Wl,-rpath,$ORIGIN/../lib/greet", after=[old])
    shop.c(C_GREET, "c-greet-rpath", "-Wl,--disable-new-dtags,-rpath,/opt/greet", after=[old])
    shop.c(C_GREET_2, "c-greet-2", after=[new])
    shop.c(C_OUTER, "libouter.so.1", *shared, "-Wl,-soname,libouter.so.1", after=[old])
    shop.c(C_USES_OUTER, "c-outer", f"-Wl,-rpath-link,{shop.out / 'old'}", after=[str(shop.out / "libouter.so.1")])
    shop.c(C_FUTURE_LIBC, "../libc.so.6", *shared, "-nostdlib", "-Wl,-soname,libc.so.6", shop.versions(VERSIONS_FUTURE))
    shop.c(C_HELLO, "c-future", "-nodefaultlibs", after=[str(shop.out / "../libc.so.6")])
    for name, source in {"musl-old": C_LIBRARY, "musl-new": C_LIBRARY_2}.items():
        (shop.out / name).mkdir()
        shop.c(source, f"{name}/libgreet.so.1", *shared, soname, compiler="musl-gcc")
    shop.c(C_GREET, "c-musl-greet", compiler="musl-gcc", after=[str(shop.out / "musl-old/libgreet.so.1")])
    shop.c(C_GREET_2, "c-musl-greet-2", compiler="musl-gcc", after=[str(shop.out / "musl-new/libgreet.so.1")])


def _make_texts(out: Path) -> None:
    """What a Dockerfile cannot write down well."""
    texts = {
        "crlf.sh": b"#!/bin/sh\r\necho hello\r\n",
        "crlf-env.sh": b"#!/usr/bin/env sh\r\necho hello\r\n",
        "bom.sh": b"\xef\xbb\xbf#!/bin/sh\necho hello\n",
        "empty": b"",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
        "noise": bytes(range(256)),
        "passwd": b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nweb:x:1000:1000::/:/bin/sh\n",
        "group": b"root:x:0:\nnobody:x:65534:\nweb:x:1000:\n",
    }
    for name, content in texts.items():
        (out / name).write_bytes(content)
    whole = (out / "c-static").read_bytes()
    (out / "truncated").write_bytes(whole[: len(whole) // 2])
    for path in out.rglob("*"):
        path.chmod(0o755)


def make_programs(directory: Path) -> Path:
    """The build context with all programs, made once per `directory`. About two minutes when Go's cache is empty."""
    out = directory / "programs"
    if out.exists():
        return out
    work = directory / "sources"
    shutil.rmtree(work, ignore_errors=True)
    partial = directory / "programs.partial"
    shutil.rmtree(partial, ignore_errors=True)
    work.mkdir(parents=True)
    partial.mkdir()
    shop = _Workshop(work, partial)
    _make_go(shop)
    _make_c(shop)
    _make_texts(partial)
    musl = Path("/lib/ld-musl-x86_64.so.1")
    shutil.copy(musl.resolve(), partial / "ld-musl-x86_64.so.1")
    partial.rename(out)
    return out
