/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_BOOT_LAYOUT_H
#define VMM_BOOT_LAYOUT_H

/*
 * Guest physical addresses of the x86-64 machine.
 *
 *	0x0000_0500  GDT                       \
 *	0x0000_6000  hvm_start_info, modules    | read by the kernel's first
 *	0x0000_7000  zero page or memory map    | instructions
 *	0x0000_8000  boot stack                 |
 *	0x0002_0000  command line              /
 *	0x000a_0000  end of low memory
 *	0x000e_0000  ACPI tables
 *	0x0010_0000  kernel ...                  initramfs at the top of RAM
 *	0xc000_0000  PCI memory window
 *	0xe800_0000  PCI configuration space (ECAM), one bus
 *	0xf800_0000  pages that KVM wants on Intel
 *	0xfee0_0000  local APICs
 *	4 GiB        the rest of RAM
 *	above it     PCI memory BARs, if there are any
 */

#define LAYOUT_GDT 0x500u
#define LAYOUT_START_INFO 0x6000u
#define LAYOUT_MODULES 0x6040u
#define LAYOUT_ZERO_PAGE 0x7000u
#define LAYOUT_MEMMAP 0x7000u
#define LAYOUT_STACK_TOP 0x8ff0u
#define LAYOUT_CMDLINE 0x20000u
#define LAYOUT_LOW_END 0xa0000u
#define LAYOUT_ACPI 0xe0000u
#define LAYOUT_ACPI_SIZE 0x20000u
#define LAYOUT_KERNEL 0x100000u
#define LAYOUT_RAM_LOW_MAX 0xc0000000u
#define LAYOUT_PCI_WINDOW 0xc0000000u
#define LAYOUT_PCI_WINDOW_SIZE 0x28000000u
#define LAYOUT_ECAM 0xe8000000u
#define LAYOUT_ECAM_SIZE 0x100000u
#define LAYOUT_KVM_TSS 0xf8000000u
#define LAYOUT_KVM_IDENTITY 0xf8003000u
#define LAYOUT_APIC 0xfee00000u
#define LAYOUT_RAM_HIGH 0x100000000ull
/* Above those of the legacy devices. */
#define LAYOUT_PCI_PORTS 0x1000u
#define LAYOUT_PCI_PORTS_SIZE 0x1000u
/* Both ends of the addresses of PCI memory BARs are multiples. */
#define LAYOUT_PCI_HIGH_UNIT 0x40000000ull

/* COMMAND_LINE_SIZE of Linux on x86, with the NUL. */
#define LAYOUT_CMDLINE_MAX 2048u

#endif
