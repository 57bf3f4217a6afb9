//go:build ignore

// Command hello writes a program of some 160 bytes for Linux on amd64 or arm64
// that prints a text: images that hold it are small and can be run.
//
//	go run hello.go amd64 'hello' > hello
package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"log"
	"os"
)

const (
	base    = 0x400000
	headers = 64 + 56 // ELF header and one program header
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: hello ARCHITECTURE TEXT")
	}
	text := os.Args[2] + "\n"
	machine, code := elf.EM_NONE, []byte(nil)
	switch os.Args[1] {
	case "amd64":
		machine, code = elf.EM_X86_64, amd64(uint32(len(text)))
	case "arm64":
		machine, code = elf.EM_AARCH64, arm64(uint32(len(text)))
	default:
		log.Fatalf("no code for %s", os.Args[1])
	}
	code = append(code, text...)
	size := uint64(headers + len(code))
	var b bytes.Buffer
	write := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			log.Fatal(err)
		}
	}
	write(elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB),
			byte(elf.EV_CURRENT)},
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	})
	write(elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x10000,
	})
	b.Write(code)
	if _, err := os.Stdout.Write(b.Bytes()); err != nil {
		log.Fatal(err)
	}
}

// amd64 returns write(1, text, n); exit(0), the text following.
func amd64(n uint32) []byte {
	code := []byte{
		0xb8, 1, 0, 0, 0, // mov eax, 1
		0xbf, 1, 0, 0, 0, // mov edi, 1
		0x48, 0x8d, 0x35, 16, 0, 0, 0, // lea rsi, [rip+16]
		0xba, 0, 0, 0, 0, // mov edx, n
		0x0f, 0x05, // syscall
		0xb8, 60, 0, 0, 0, // mov eax, 60
		0x31, 0xff, // xor edi, edi
		0x0f, 0x05, // syscall
	}
	binary.LittleEndian.PutUint32(code[18:], n)
	return code
}

// arm64 returns the same for the other architecture.
func arm64(n uint32) []byte {
	var code []byte
	for _, instruction := range []uint32{
		0xd2800020,        // mov x0, 1
		0x100000e1,        // adr x1, 28 bytes on
		0xd2800002 | n<<5, // mov x2, n
		0xd2800808,        // mov x8, 64
		0xd4000001,        // svc 0
		0xd2800000,        // mov x0, 0
		0xd2800ba8,        // mov x8, 93
		0xd4000001,        // svc 0
	} {
		code = binary.LittleEndian.AppendUint32(code, instruction)
	}
	return code
}
