/** U-Boot's file, from Debian's package u-boot-qemu. */
export const bootLoaderFile = '/usr/lib/u-boot/qemu_arm64/u-boot.bin';

/** The watchdog's slot on the PCI bus, which the boot loader has to know. */
export const watchdogSlot = 8;

/** The longest time that a trial boot may take until systemd feeds the watchdog, and then between two feeds. */
export const watchdogSeconds = 120;

/**
 * The flash: QEMU's second bank, which the board's kernel shows after the first one. U-Boot's own environment is never
 * written again. The variable that asks for a trial boot has an environment of its own, since this U-Boot's `saveenv`
 * fails in QEMU 7.2 (a buffered write beyond the first 4 KiB of a sector times out) and a cut while Linux writes it
 * must not cost the boot command.
 */
export const flash = {
  sizeBytes: 64 * 1024 * 1024,
  sectorBytes: 0x40000,
  /** U-Boot's CONFIG_ENV_SIZE, from the start of the bank. */
  environmentBytes: 0x40000,
  trial: { offset: 0x40000, sizeBytes: 0x1000 },
  /** The bank's first address, both on U-Boot's bus and in Linux' memory technology device. */
  bankAddress: 0x4000000,
} as const;

const hex = (value: number) => value.toString(16);

const trialAddress = hex(flash.bankAddress + flash.trial.offset);

/**
 * The part of the board's flash that libubootenv reads and writes, fw_env.config(5): device, offset, size, sector size.
 */
export const fwEnvConfig = `/dev/mtd0 0x${trialAddress} 0x${hex(flash.trial.sizeBytes)} 0x${hex(flash.sectorBytes)}\n`;

/** The same for the environment with which U-Boot boots. It is only read. */
export const bootEnvConfigFile = '/etc/fw_env_boot.config';
export const bootEnvConfig = `/dev/mtd0 0x${hex(flash.bankAddress)} 0x${hex(flash.environmentBytes)} 0x${hex(flash.sectorBytes)}\n`;

/** A part of RAM that has no other use and survives a warm reset: 1 MiB, 128 KiB per record. */
const ramoops = { address: 0x50000000, sizeBytes: 0x100000, recordBytes: 0x20000 };

/** Describes it to the kernel: Documentation/devicetree/bindings/reserved-memory/ramoops.yaml. */
const tellOfRamoops = (() => {
  const node = `/reserved-memory/ramoops@${hex(ramoops.address)}`;
  return [
    `fdt addr \${fdt_addr}`,
    'fdt resize 1000',
    'fdt mknode / reserved-memory',
    'fdt set /reserved-memory "#address-cells" "<2>"',
    'fdt set /reserved-memory "#size-cells" "<2>"',
    'fdt set /reserved-memory ranges',
    `fdt mknode /reserved-memory ramoops@${hex(ramoops.address)}`,
    `fdt set ${node} compatible ramoops`,
    `fdt set ${node} reg "<0 0x${hex(ramoops.address)} 0 0x${hex(ramoops.sizeBytes)}>"`,
    `fdt set ${node} record-size "<0x${hex(ramoops.recordBytes)}>"`,
  ].join('; ');
})();

/**
 * Arms the watchdog and locks it, so that no kernel can turn it off: Intel 6300ESB I/O controller hub, datasheet
 * 300641, chapter 16. It resets when the first timer and then the second have run out; both count in 2^15 cycles of the
 * 33 MHz PCI clock. Each write to its registers has to be unlocked by 0x80 and 0x86.
 */
const armWatchdog = (() => {
  const device = `0.${hex(watchdogSlot)}.0`;
  const baseAddressRegister = 0x4010000000 + (watchdogSlot << 15) + 0x10;
  const ticks = hex(Math.round(((watchdogSeconds / 2) * 33_333_333) / 2 ** 15));
  const unlock = `mw.b \${ka_reload} 80; mw.b \${ka_reload} 86`;
  return [
    `setexpr.l ka_timer1 *${hex(baseAddressRegister)}`,
    `setexpr ka_timer2 \${ka_timer1} + 4`,
    `setexpr ka_reload \${ka_timer1} + c`,
    // Count slowly, raise no interrupt, reset at the end.
    `pci write.w ${device} 60 3`,
    `${unlock}; mw.l \${ka_timer1} ${ticks}`,
    `${unlock}; mw.l \${ka_timer2} ${ticks}`,
    `${unlock}; mw.w \${ka_reload} 100`,
    // Enabled and locked.
    `pci write.b ${device} 68 3`,
  ].join('; ');
})();

/**
 * A trial is for one boot: its variable is erased first, and only if that succeeds is the label used and the watchdog
 * armed. So the next boot, for whatever reason, is extlinux.conf's DEFAULT.
 */
const bootCommand = [
  'run ka_ramoops',
  'pci enum',
  `if env import -c ${trialAddress} ${hex(flash.trial.sizeBytes)} ka_trial; then if test -n "\${ka_trial}"; then ` +
    `if erase ${trialAddress} +${hex(flash.sectorBytes)}; then echo Trial boot of \${ka_trial}; ` +
    `setenv pxe_label_override "\${ka_trial}"; run ka_watchdog; fi; fi; fi`,
  'virtio scan',
  `sysboot virtio 0:1 any \${scriptaddr} /boot/extlinux/extlinux.conf`,
].join('; ');

/** The board's U-Boot environment, as mkenvimage(1) reads it: one variable per line. */
export const bootEnvironment = `${[
  // It boots whatever arrives on the console.
  'bootdelay=-2',
  'fdt_addr=0x40000000',
  'scriptaddr=0x40200000',
  'pxefile_addr_r=0x40300000',
  'kernel_addr_r=0x40400000',
  'ramdisk_addr_r=0x44000000',
  'fdt_high=0xffffffff',
  'initrd_high=0xffffffff',
  `ka_ramoops=${tellOfRamoops}`,
  `ka_watchdog=${armWatchdog}`,
  `bootcmd=${bootCommand}`,
].join('\n')}\n`;
