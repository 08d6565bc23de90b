import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRun } from '../../../host/run.ts';
import { AgentConfig, type BoardConfig } from '../../../schemas/config.ts';
import { createBootLoader } from './create-boot-loader.ts';
import { readExtlinux } from './extlinux-conf.ts';
import { heldLabel } from './held-kernel.ts';
import { trialBootLine } from './u-boot-environment.ts';

const conf = `# mine
default   fourier
MENU TITLE fresnel
TIMEOUT 30

LABEL rescue
    LINUX /boot/rescue
label fourier
    MENU LABEL Linux fresnel-fourier
    kernel /boot/Image
    INITRD /boot/initramfs.img
    FDTDIR /boot/dtbs
    APPEND root=LABEL=fresnel rw
`;
const old = 'Linux version 7.0.0-fourier (builder@boltzmann) #1 SMP';
const fresh = old.replace('#1', '#2');

let folder: string;
const at = (...path: string[]) => join(folder, ...path);
const put = (file: string, text: string) => {
  mkdirSync(dirname(at(file)), { recursive: true });
  writeFileSync(at(file), text);
};
const extlinux = () => readFileSync(at('root/boot/extlinux/extlinux.conf'), 'utf8');
const run = createRun(() => undefined);
const fw = (program: string, ...args: string[]) =>
  execFileSync(program, ['-c', at('fw_env.config'), ...args], { encoding: 'utf8', stdio: 'pipe' });
const host = (loader: object): BoardConfig =>
  AgentConfig.parse({
    ...{ role: 'board', fleet: 'test', host: 'fresnel', nats: { servers: ['nats://127.0.0.1:1'] } },
    ...{ keyFile: '/key', trustFile: '/trust.json', stateFolder: at('state'), peers: {} },
    ...{ bootIdFile: at('boot-id'), releaseFile: at('release'), procVersionFile: at('version') },
    ...{ root: at('root'), packages: ['linux'], repositoryUrl: 'http://127.0.0.1:1' },
    pacman: {
      ...{ command: ['pacman'], configFile: '/c', localConfigFile: '/c', cacheFolder: '/c' },
      ...{ logFile: '/c', databaseFolder: '/c' },
    },
    boot: {
      ...{ image: '/boot/Image', initramfs: '/boot/initramfs.img', initramfsCommand: ['true'], keep: [] },
      ...{ rebootCommand: ['true'], loader },
    },
    signing: { fingerprint: 'A'.repeat(40), keyring: '/k' },
    sweep: { command: ['true'], fixturesFolder: '/f' },
  }) as BoardConfig;
const uBoot = () => ({
  ...{ kind: 'u-boot', label: 'fourier' },
  setCommand: ['fw_setenv', '-c', at('fw_env.config')],
  printCommand: ['fw_printenv', '-c', at('fw_env.config')],
});
const extlinuxAlone = { kind: 'extlinux', label: 'fourier' };
const loaderOf = (loader: object, by = run) =>
  createBootLoader({ host: host(loader), run: by, note: () => undefined });
/** What U-Boot does at power-on, as `trialBootLine` tells it; with extlinux alone it only looks at DEFAULT. */
const bootsNext = () => {
  const label = /^ka_trial=(.*)$/m.exec(fw('fw_printenv'))?.[1];
  if (label !== undefined) fw('fw_setenv', 'ka_trial');
  const found = readExtlinux(extlinux());
  const kernel = found.labels.findLast(({ name }) => name === (label ?? found.boots))?.kernel ?? '';
  return readFileSync(at('root', kernel), 'utf8').trim();
};
let boots = 0;
/** Boots the board as its boot loader would, and returns what runs then. */
const powerOn = () => {
  const banner = bootsNext();
  boots += 1;
  put('version', `${banner}\n`);
  put('boot-id', `boot-${boots}\n`);
  return banner;
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loader-'));
  boots = 0;
  put('root/boot/extlinux/extlinux.conf', conf);
  put('root/boot/Image', `${old}\n`);
  put('root/boot/initramfs.img', 'old initramfs');
  put('root/boot/dtbs/rockchip/board.dtb', 'old dtb');
  put('version', `${old}\n`);
  put('release', '7.0.0-fourier\n');
  put('boot-id', 'boot-0\n');
  put('state/none', '');
  put('u.env', '\0'.repeat(4096));
  put('fw_env.config', `${at('u.env')} 0x0 0x1000\n`);
  put('initial', `bootcmd=run ka_boot\nka_boot=${trialBootLine('ka_trial')}\n`);
  fw('fw_setenv', '-f', at('initial'), 'bootdelay', '2');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe.each([
  ['U-Boot', uBoot],
  ['extlinux alone', () => extlinuxAlone],
])('%s', (_, config) => {
  it('boots what is held until it is settled, and leaves the person’s text as it was', async () => {
    const before = extlinux();
    const loader = loaderOf(config());
    const bytes = (await loader.requireReady()).reduce((sum, each) => sum + each.bytes, 0);
    expect(bytes).toBe(`${old}\nold initramfsold dtb`.length);
    await loader.hold();
    await loader.hold();
    put('root/boot/Image', 'half of');
    put('root/boot/dtbs/rockchip/board.dtb', 'new dtb');
    expect(powerOn()).toBe(old);
    expect(readFileSync(at('root/boot/kernel-agent/devicetrees/rockchip/board.dtb'), 'utf8')).toBe('old dtb');
    const held = readExtlinux(extlinux()).labels.find(({ name }) => name === heldLabel);
    expect(held).toEqual({
      name: heldLabel,
      kernel: '/boot/kernel-agent/image',
      initrd: '/boot/kernel-agent/initramfs',
      fdtDir: '/boot/kernel-agent/devicetrees',
      others: ['APPEND root=LABEL=fresnel rw'],
    });
    expect(extlinux().startsWith(before.replace('default   fourier', `default   ${heldLabel}`))).toBe(true);
    await loader.settle();
    expect(extlinux()).toBe(before);
    expect(existsSync(at('root/boot/kernel-agent'))).toBe(false);
    expect(await loader.isSettled()).toBe(true);
  });

  it('tries the new kernel once, and takes a trial back', async () => {
    const loader = loaderOf(config());
    await loader.hold();
    put('root/boot/Image', `${fresh}\n`);
    await loader.tryOnce('boot-0');
    expect(await loader.isTrying('boot-0')).toBe(true);
    await loader.booted('boot-0'); // the board's deadline was restarted in the same boot
    expect(powerOn()).toBe(fresh);
    await loader.booted('boot-1');
    expect(await loader.isTrying('boot-1')).toBe(false);
    expect(powerOn()).toBe(old);
    await loader.tryOnce('boot-2');
    await loader.cancelTry();
    expect(powerOn()).toBe(old);
    await loader.tryOnce('boot-3');
    await loader.settle();
    expect([powerOn(), powerOn()]).toEqual([fresh, fresh]);
  });

  it('leaves nothing of a failed copy, and goes back to the held kernel if DEFAULT names another', async () => {
    const failing = loaderOf(config(), (argv, options) =>
      run(argv[0] === 'sync' ? ['false'] : argv, options),
    );
    await expect(failing.hold()).rejects.toThrow(/false/);
    expect(existsSync(at('root/boot/kernel-agent.part'))).toBe(false);
    const loader = loaderOf(config());
    await loader.hold();
    put('root/boot/extlinux/extlinux.conf', extlinux().replace(/default .*/, 'default fourier'));
    put('root/boot/Image', 'half of');
    await loader.hold();
    expect(powerOn()).toBe(old);
  });

  it('flushes the copies, and the file that names them, also after a cut in between', async () => {
    const named: boolean[] = [];
    const loader = loaderOf({ ...config(), freeze: true }, async (argv, options) => {
      if (!argv.includes('fsfreeze')) return run(argv, options);
      named.push(extlinux().includes(heldLabel)); // a real freeze would freeze this machine
      return { exitCode: 0, stdout: `${argv[1]}\n`, stderr: '' };
    });
    await loader.hold();
    expect(named).toEqual([false, true]);
    await loader.hold();
    expect(named).toEqual([false, true, true]);
  });

  it('refuses a trial if nothing is held any more, or the two kernels can’t be told apart', async () => {
    const loader = loaderOf(config());
    await loader.hold();
    await expect(loader.requireHeld()).rejects.toThrow(/are both Linux version .* timestamp/);
    put('root/boot/Image', `${fresh}\n`);
    await loader.requireHeld();
    await loader.tryOnce('boot-0');
    await loader.requireHeld();
    put('root/boot/extlinux/extlinux.conf', conf);
    await expect(loader.requireHeld()).rejects.toMatchObject({
      ...{ name: 'StepFailed', fault: 'host', message: expect.stringMatching(/something rewrote it/) },
    });
  });

  it.each([
    ['has no such label', () => put('root/boot/extlinux/extlinux.conf', 'DEFAULT x\nLABEL x\n'), /no label/],
    [
      'boots another by default',
      () =>
        put('root/boot/extlinux/extlinux.conf', extlinux().replace('default   fourier', 'DEFAULT rescue')),
      /boots rescue by default/,
    ],
    [
      'includes another file',
      () => put('root/boot/extlinux/extlinux.conf', `MENU INCLUDE more.conf\n${extlinux()}`),
      /includes/,
    ],
    ['names a file that is gone', () => rmSync(at('root/boot/initramfs.img')), /initramfs.img, which can't/],
    ['is not of what runs', () => put('version', `${fresh}\n`), /only a kernel that runs can be held/],
    [
      'still holds one',
      () => put('root/boot/extlinux/extlinux.conf', `${extlinux()}LABEL ${heldLabel}\n  KERNEL /x\n`),
      /never ended/,
    ],
  ])('refuses if extlinux.conf %s', async (_, spoil, says) => {
    spoil();
    const before = extlinux();
    await expect(loaderOf(config()).requireReady()).rejects.toMatchObject({
      ...{ name: 'StepFailed', fault: 'host', message: expect.stringMatching(says) },
    });
    expect(extlinux()).toBe(before);
  });

  it('starts over with copies that a cut left half made, and keeps the file’s mode', async () => {
    put('root/boot/kernel-agent.part/image', 'half');
    put('root/boot/kernel-agent/image', 'of a cut before it was named');
    execFileSync('chmod', ['640', at('root/boot/extlinux/extlinux.conf')]);
    await loaderOf(config()).hold();
    expect(powerOn()).toBe(old);
    expect(existsSync(at('root/boot/kernel-agent.part'))).toBe(false);
    expect(statSync(at('root/boot/extlinux/extlinux.conf')).mode & 0o777).toBe(0o640);
  });
});

describe('U-Boot’s environment', () => {
  it.each([
    ['has no bootcmd', ['bootcmd'], /holds no bootcmd/],
    ['never looks', ['bootcmd', 'run distro_bootcmd'], /never looks at ka_trial/],
    ['never clears it', ['ka_boot', 'setenv pxe_label_override $ka_trial; saveenv'], /never clears/],
    ['never saves that', ['ka_boot', 'x $ka_trial; setenv ka_trial; boot'], /never saves/],
    ['overrides for ever', ['pxe_label_override', 'x'], /holds pxe_label_override/],
  ])('that %s is refused, with the line to set', async (_, set, says) => {
    fw('fw_setenv', ...set);
    await expect(loaderOf(uBoot()).requireReady()).rejects.toThrow(says);
    await expect(loaderOf(uBoot()).requireReady()).rejects.toThrow(
      /set bootcmd to: if test -n "\$\{ka_trial\}"/,
    );
  });

  it('may hold only the variable, which is then cleared by erasing the environment', async () => {
    const erased = () => put('trial.env', 'x'.repeat(4096));
    erased();
    put('trial.config', `${at('trial.env')} 0x0 0x1000\n`);
    const command = (program: string) => [program, '-c', at('trial.config'), '-f', '/dev/null'];
    const apart = {
      ...{ kind: 'u-boot', label: 'fourier', bootPrintCommand: uBoot().printCommand },
      ...{ setCommand: command('fw_setenv'), printCommand: command('fw_printenv') },
    };
    const loader = loaderOf(apart);
    fw('fw_setenv', 'ka_boot', 'if env import -c 4040000 1000 ka_trial; then run x; fi');
    await expect(loader.requireReady()).rejects.toThrow(/never erases/);
    fw('fw_setenv', 'ka_boot', 'if env import -c 4040000 1000 ka_trial; then erase 4040000 +40000; fi');
    await loader.requireReady();
    await loader.cancelTry();
    await loader.tryOnce('boot-0');
    expect(await loader.isTrying('boot-0')).toBe(true);
    erased();
    expect(await loader.isTrying('boot-0')).toBe(false);
  });

  it('is written to its end although the agent stops, and an unreadable one is not taken for erased', async () => {
    const agent = new AbortController();
    const slow = ['sh', '-c', 'sleep 0.3; exec "$@"', 'sh', ...uBoot().setCommand];
    const writing = loaderOf(
      { ...uBoot(), setCommand: slow },
      createRun(() => undefined, agent.signal),
    );
    const tried = writing.tryOnce('boot-0').catch(() => undefined);
    setTimeout(() => agent.abort(), 200);
    await tried;
    expect(fw('fw_printenv')).toContain('ka_trial=fourier');
    const printCommand = ['fw_printenv', '-c', at('none.config'), '-f', '/dev/null'];
    const apart = { ...uBoot(), printCommand, bootPrintCommand: uBoot().printCommand };
    await expect(loaderOf(apart).cancelTry()).rejects.toMatchObject({ fault: 'host' });
    put('none.config', `${at('erased')} 0x0 0x1000\n`);
    put('erased', 'x'.repeat(4096));
    await loaderOf({ ...apart, printCommand: printCommand.slice(0, 3) }).cancelTry();
  });

  it('that was lost in a cut is refused for a trial, and boots the held kernel', async () => {
    const loader = loaderOf(uBoot());
    await loader.hold();
    put('u.env', 'x'.repeat(4096));
    await expect(loader.tryOnce('boot-0')).rejects.toMatchObject({ fault: 'host' });
    expect(readExtlinux(extlinux()).boots).toBe(heldLabel);
    await loader.settle();
  });
});

describe('a label', () => {
  it('ends where U-Boot ends it, and takes its initramfs from APPEND too', () => {
    const { labels, boots } = readExtlinux(
      'LABEL a\n MENU DEFAULT\n KERNEL /a\n TIMEOUT 3\n KERNEL /b\nLABEL c\n APPEND x initrd=/i y\n FDT -\n',
    );
    expect(boots).toBe('a');
    expect(labels).toEqual([
      { name: 'a', kernel: '/a', others: [] },
      { name: 'c', initrd: '/i', fdt: '-', others: ['APPEND x initrd=/i y'] },
    ]);
  });
});
