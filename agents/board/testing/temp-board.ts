import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { basename, join } from 'node:path';
import send from 'send';
import { generateSshKey, startSshd } from '../../../deploy/sshd.ts';
import { hashFile } from '../../../host/hash-file.ts';
import { createRun } from '../../../host/run.ts';
import { AgentConfig, type BoardConfig } from '../../../schemas/config.ts';
import { trialBootLine } from '../boot-loader/u-boot-environment.ts';
import type { SignedPackage } from '../staged.ts';
import { copyTrustedKey, endGpgAgent, pacmanKey } from './test-keyring.ts';
import { names, signedPackages } from './test-packages.ts';

const run = createRun(() => undefined);
const isRoot = process.getuid?.() === 0;

const canUnshare = (): boolean => {
  try {
    execFileSync('unshare', ['-Ur', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** The command that gives pacman the root rights that it insists on; undefined if there is none. */
export const pacmanCommand: string[] | undefined = isRoot
  ? ['pacman']
  : canUnshare()
    ? ['unshare', '-Ur', 'pacman']
    : undefined;

export const extlinuxConf = `# the board's own
DEFAULT fourier
LABEL fourier
  KERNEL /boot/Image
  INITRD /boot/initramfs.img
  FDTDIR /boot/dtbs
  APPEND root=LABEL=fresnel rw
`;

/** The sizes of the disks that a board's root and its state are on, as tmpfs(5) takes them. */
export interface Disks {
  root?: string;
  state?: string;
}

/**
 * A board in a temporary folder: pacman's own root, a repository over HTTP, a backup host over SSH, a pinned key.
 * @param disks Only root can mount them.
 */
export const startTempBoard = async (disks: Disks = {}) => {
  const ends: (() => unknown)[] = [];
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    return { ...(await startParts(disks, (end) => void ends.push(end))), stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** @param onStop called with each thing that has to be ended, as soon as it exists. */
const startParts = async (disks: Disks, onStop: (end: () => unknown) => void) => {
  if (pacmanCommand === undefined) throw new Error('pacman needs root or unshare -Ur.');
  const folder = await mkdtemp(join(tmpdir(), 'board-'));
  onStop(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  const at = (...path: string[]) => join(folder, ...path);
  const root = at('root');
  for (const [name, size] of Object.entries(disks)) {
    await mkdir(at(name));
    await run(['mount', '-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', at(name)]);
    onStop(() => run(['umount', at(name)]));
  }
  for (const path of ['root/var/lib/pacman', 'root/boot/extlinux', 'cache', 'hooks', 'fixtures', 'state'])
    await mkdir(at(path), { recursive: true });
  const repository = at('peer', 'views', 'v1');
  await mkdir(repository, { recursive: true });
  await writeFile(join(root, 'boot/extlinux/extlinux.conf'), extlinuxConf);
  await writeFile(join(root, 'boot/initramfs.img'), 'initramfs from before\n');

  const key = await copyTrustedKey({ key: at('key'), pacman: at('gpg') });
  onStop(() => key.stop());
  onStop(() => endGpgAgent(at('gpg')));
  const options = [
    `RootDir = ${root}`,
    `DBPath = ${root}/var/lib/pacman`,
    `CacheDir = ${at('cache')}`,
    `LogFile = ${at('pacman.log')}`,
    `GPGDir = ${at('gpg')}`,
    `HookDir = ${at('hooks')}`,
    'Architecture = aarch64',
    'SigLevel = Required DatabaseNever',
    'LocalFileSigLevel = Required',
  ];
  const sockets = new Set<import('node:net').Socket>();
  /** How the repository behaves: each answer stalls after this many bytes. */
  const serving = { stallAfter: undefined as number | undefined, requests: [] as (string | undefined)[] };
  const server = createServer((request, response) => {
    serving.requests.push(request.headers.range);
    if (serving.stallAfter !== undefined) {
      const write = response.write.bind(response);
      let left = serving.stallAfter;
      response.write = ((chunk: Buffer) => {
        const piece = chunk.subarray(0, left);
        left -= piece.length;
        if (piece.length > 0) write(piece);
        return true;
      }) as typeof response.write;
      response.end = (() => response) as typeof response.end;
    }
    send(request, request.url ?? '/', { root: repository }).pipe(response);
  }).listen(0, '127.0.0.1');
  server.on('connection', (socket) => sockets.add(socket));
  onStop(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await writeFile(at('local.conf'), `${['[options]', ...options].join('\n')}\n`);
  await writeFile(at('pacman.conf'), `${['[options]', ...options, '[ka]', `Server = ${url}`].join('\n')}\n`);

  /**
   * Lets the pinned key expire, at a time in the form of gpg's --quick-set-expire, and passes its new state to gpgv and
   * pacman.
   */
  const expireKey = async (when: string) => {
    await key.gpg('--quick-set-expire', key.fingerprint, when);
    if (when !== 'never') await key.expired();
    await key.gpg('--yes', '--output', key.keyring, '--export', key.fingerprint);
    await pacmanKey({ configFile: at('local.conf'), folder: at('gpg') }, '--add', key.keyring);
  };

  const publicKey = await generateSshKey(at('ssh-key'));
  const sshd = await startSshd({ folder: at('sshd'), authorizedKeys: [publicKey] });
  onStop(() => sshd.stop());

  const environmentConfig = at('fw_env.config');
  await writeFile(at('u-boot.env'), Buffer.alloc(4096));
  await writeFile(environmentConfig, `${at('u-boot.env')} 0x0 0x1000\n`);
  await writeFile(at('initial.env'), `bootcmd=${trialBootLine('ka_trial')}\n`);
  await run(['fw_setenv', '-c', environmentConfig, '-f', at('initial.env'), 'bootdelay', '2']);
  await mkdir(at('pstore'));

  const banner = (image: string) => /Linux version [^\n]*/.exec(image)?.[0] ?? '';
  const boot = async (bootId: string) => {
    const image = await readFile(join(root, 'boot/Image'), 'latin1').catch(() => '');
    await writeFile(at('proc-version'), `${banner(image)}\n`);
    await writeFile(at('release'), `${banner(image).split(' ')[2] ?? ''}\n`);
    await writeFile(at('boot-id'), `${bootId}\n`);
  };
  await boot('boot-0');
  await writeFile(
    at('reboot.mjs'),
    `import { execFileSync } from 'node:child_process';
     import { readFileSync, writeFileSync } from 'node:fs';
     const fw = (program, ...args) => execFileSync(program, ['-c', '${environmentConfig}', ...args], { encoding: 'utf8' });
     const trial = /^ka_trial=(.+)$/m.exec(fw('fw_printenv'))?.[1];
     if (trial) fw('fw_setenv', 'ka_trial');
     const conf = readFileSync('${root}/boot/extlinux/extlinux.conf', 'utf8');
     const label = trial ?? /^DEFAULT (.*)$/m.exec(conf)[1];
     const kernel = conf.split('LABEL ' + label + '\\n')[1].match(/KERNEL (.*)/)[1];
     const banner = /Linux version [^\\n]*/.exec(readFileSync('${root}' + kernel, 'latin1'))[0];
     writeFileSync('${at('proc-version')}', banner + '\\n');
     writeFileSync('${at('release')}', banner.split(' ')[2] + '\\n');
     const id = readFileSync('${at('boot-id')}', 'utf8').trim();
     writeFileSync('${at('boot-id')}', 'boot-' + (Number(id.slice(5)) + 1) + '\\n');`,
  );
  await writeFile(
    at('sweep.mjs'),
    `import { readFileSync, writeFileSync } from 'node:fs';
     const [row, path, fixture, output] = process.argv.slice(2);
     const image = readFileSync('${root}/boot/Image', 'latin1');
     writeFileSync(output, row + (path === 'libva' && image.includes('#1 SMP') ? 'stale' : 'right') + fixture.length);
     console.log(JSON.stringify({ device: path === 'software' ? null : '/dev/video0', frames: 5 }));`,
  );

  const peer = {
    address: '127.0.0.1',
    port: sshd.port,
    user: userInfo().username,
    identity: at('ssh-key'),
    hostKey: sshd.hostKey,
    folder: at('peer'),
  };
  const host = AgentConfig.parse({
    role: 'board',
    fleet: 'test',
    host: 'fresnel',
    nats: { servers: ['nats://127.0.0.1:1'] },
    keyFile: at('host-key'),
    trustFile: '/trust.json',
    stateFolder: at('state'),
    bootIdFile: at('boot-id'),
    releaseFile: at('release'),
    procVersionFile: at('proc-version'),
    peers: { hertz: peer },
    root,
    packages: names,
    pacman: {
      command: pacmanCommand,
      configFile: at('pacman.conf'),
      localConfigFile: at('local.conf'),
      cacheFolder: at('cache'),
      logFile: at('pacman.log'),
      databaseFolder: join(root, 'var/lib/pacman'),
    },
    boot: {
      image: '/boot/Image',
      initramfs: join(root, 'boot/initramfs.img'),
      initramfsCommand: ['cp', join(root, 'boot/Image'), join(root, 'boot/initramfs.img')],
      keep: ['/boot/extlinux', '/boot/dtbs'],
      rebootCommand: [process.execPath, at('reboot.mjs')],
    },
    repositoryUrl: url,
    stallSeconds: 1,
    signing: { fingerprint: key.fingerprint, keyring: key.keyring },
    sweep: {
      command: [process.execPath, at('sweep.mjs')],
      fixturesFolder: at('fixtures'),
      timeoutSeconds: 10,
    },
    network: { interfacesFolder: at('interfaces'), routeFiles: [at('routes')] },
    reserveBytes: 1024,
  }) as BoardConfig;

  /** Builds both packages of a version with makepkg and signs them. @returns their files. */
  const build = (version: string, headers = 20): Promise<string[]> =>
    signedPackages(key, at('build', version), { version, headers });

  /** Puts files and their signatures where the repository serves them. @returns how a request describes them. */
  const publish = async (files: readonly string[]): Promise<SignedPackage[]> =>
    Promise.all(
      files.map(async (path) => {
        await cp(path, join(repository, basename(path)));
        await cp(`${path}.sig`, join(repository, `${basename(path)}.sig`));
        const name = basename(path).replace(/-[^-]+-[^-]+-[^-]+$/, '');
        const signatureSha256 = (await hashFile(`${path}.sig`)).sha256;
        return { name, file: basename(path), ...(await hashFile(path)), signatureSha256 };
      }),
    );

  const pacman = (...args: string[]) =>
    run([...pacmanCommand, '--config', at('local.conf'), '--noconfirm', ...args]);

  /** The same board behind a U-Boot that tries a kernel once. */
  const trying: BoardConfig = {
    ...host,
    boot: {
      ...host.boot,
      loader: {
        ...{ kind: 'u-boot', configFile: '/boot/extlinux/extlinux.conf', label: 'fourier' },
        ...{ variable: 'ka_trial', setCommand: ['fw_setenv', '-c', environmentConfig] },
        printCommand: ['fw_printenv', '-c', environmentConfig],
      },
      traces: { pstoreFolders: [at('pstore')], watchdogStatusFile: at('watchdog-status') },
    },
  };

  let runs = 0;
  return {
    folder,
    /** A new folder with its own journal, as for another attempt. */
    fresh: () => ({ folder: at('runs', String(++runs)) }),
    /** Removes everything that the board's deadline keeps. */
    forgetDeadline: async () => {
      for (const name of ['', '-disarmed', '-fired', '-report', '-seen'])
        await rm(at('state', `deadline${name}.json`), { force: true });
    },
    root,
    host,
    trying,
    key,
    expireKey,
    serving,
    repository,
    build,
    publish,
    pacman,
    boot,
  };
};
