import { bootLoaderFile, watchdogSlot } from './boot-environment.ts';
import type { LabPlaces } from './lab-places.ts';

const processors = 2;
const memoryMiB = 1024;

/** A value in one of QEMU's comma-separated options: a comma in it is written twice, qemu(1). */
const value = (text: string) => text.replaceAll(',', ',,');

/**
 * The command of the virtual board, which runs while the board has power: software emulation only. A guest that reboots
 * stays in the same process, so that its memory survives a warm reset, as a real board's does.
 * @param ports the port of the guest's SSH server on 127.0.0.1.
 */
export const qemuArgv = (places: LabPlaces, ports: { board: number }): string[] => [
  'qemu-system-aarch64',
  ...['-name', 'fresnel', '-M', 'virt', '-cpu', 'cortex-a57', '-accel', 'tcg,thread=multi'],
  ...['-smp', String(processors), '-m', String(memoryMiB)],
  ...['-nodefaults', '-no-user-config', '-display', 'none'],
  ...['-bios', bootLoaderFile],
  ...['-drive', `if=pflash,index=1,format=raw,file=${value(places.flash)}`],
  ...['-drive', `if=none,id=disk,format=raw,file=${value(places.disk)}`],
  ...['-netdev', `user,id=net,hostfwd=tcp:127.0.0.1:${ports.board}-:22`],
  // The slots are fixed: the network interface is named after its slot, and the boot loader knows the watchdog's.
  ...['-device', 'virtio-net-pci,netdev=net,addr=1,romfile='],
  ...['-device', 'virtio-blk-pci,drive=disk,addr=2'],
  ...['-device', 'virtio-rng-pci,addr=3'],
  ...['-device', `i6300esb,addr=${watchdogSlot}`, '-action', 'watchdog=reset'],
  ...[
    '-chardev',
    `socket,id=console,path=${value(places.console)},server=on,wait=off,logfile=${value(places.consoleLog)},logappend=on`,
  ],
  ...['-serial', 'chardev:console'],
  ...['-monitor', `unix:${value(places.monitor)},server=on,wait=off`],
  ...['-pidfile', places.pidFile],
];
