import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { expect, type TestContext } from 'vitest';
import { bundleEnroller } from '../../deploy/enrol/agent-bundle.ts';
import { completeConfig } from '../../deploy/enrol/host-config.ts';
import { wantedLogins } from '../../deploy/enrol/logins.ts';
import { Applied, type Apply } from '../../deploy/enrol/on-host/asked.ts';
import { agentUser, configFolder, hostPlaces, stateHome } from '../../deploy/enrol/places.ts';
import { withBase64 } from '../../deploy/enrol/wanted-file.ts';
import { freePort, generateSshKey } from '../../deploy/sshd.ts';
import { connect } from '../../host/ssh.ts';
import { EnrolledHost } from '../../schemas/config.ts';
import { testFolder } from '../ka.ts';
import { until } from '../log-server.ts';
import { patienceMs } from '../patience.ts';

/** A machine's own /etc, /srv, /run and /var/lib, for whoever is in this mount namespace. */
const script = `set -euo pipefail
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
for folder in /srv /run /var/lib; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir -m 755 /run/sshd
echo 'AllowUsers root' >>/etc/ssh/sshd_config
rm -rf /etc/ssh/sshd_config.d
useradd --system --user-group --no-create-home --home-dir ${stateHome} --shell /bin/bash --password '*' ${agentUser}
for folder in ${stateHome} ${stateHome}/keys ${stateHome}/.ssh; do install -d -m 700 -o ${agentUser} -g ${agentUser} "$folder"; done
echo ready
exec sleep infinity`;

export interface Tried {
  exitCode: number | undefined;
  said: string;
}

/** Whether this machine's processes can have mounts of their own: root's can. */
export const canMount = process.getuid?.() === 0;

/**
 * A machine with an OpenSSH server of its own, on which enrolment lets others log in. It is this one, with other
 * folders in the place of /etc, /srv, /run and /var/lib.
 */
export const startLoginMachine = async (name: string) => {
  const place = await testFolder(name);
  // Whatever ends this process ends unshare, which ends everything that runs in the machine.
  const holder = spawn(
    'setpriv',
    [
      ...['--pdeathsig=KILL', 'unshare', '--mount', '--propagation', 'private', '--pid', '--fork'],
      ...['--kill-child=KILL', 'bash', '-c', script, '-', place.folder],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(holder, 'exit');
  const stop = async () => {
    holder.kill('SIGKILL');
    await ended;
    await place.remove();
  };
  try {
    await Promise.race([once(createInterface(holder.stdout), 'line'), ended]);
    if (holder.exitCode !== null) throw new Error('the machine could not be made; see above');
    const first = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim();
    const inside = (argv: readonly string[], input = '') =>
      execa('nsenter', ['--mount', '--pid', `--target=${first}`, '--', ...argv], {
        input,
        reject: false,
        timeout: patienceMs,
      });
    const done = async (argv: readonly string[], input?: string) => {
      const ran = await inside(argv, input);
      if (ran.exitCode !== 0) throw new Error(`${argv.join(' ')}: ${ran.stderr}`);
      return ran.stdout;
    };
    const key = async (owner: string) => {
      const file = join(place.folder, `${owner}.key`);
      return { file, publicKey: await generateSshKey(file) };
    };

    const program = await bundleEnroller();
    /** Lets these log in, as `ka enrol` does. */
    const enrol = async (written: unknown) => {
      const named = { fleet: 'test', host: 'machine', file: join(place.folder, 'machine.yaml') };
      const { config, logins } = completeConfig(EnrolledHost.parse(written), named);
      const wanted = wantedLogins(config, logins);
      if (!wanted) throw new Error('nobody logs in to a board');
      const offered = config.role === 'builder' ? config.offeredFolder : '';
      const repository = config.role === 'publisher' ? config.repository.folder : '';
      const asked: Apply = {
        do: 'apply',
        places: { keyFile: hostPlaces.key, identityFile: null, owedFile: hostPlaces.owed },
        user: null,
        folders: [
          { path: configFolder, mode: 0o755, owner: 'root' },
          ...wanted.folders,
          { path: offered + repository, mode: 0o755, owner: agentUser },
        ],
        files: withBase64(wanted.files),
        links: wanted.links,
        keysOf: agentUser,
        makesKeys: true,
        identityComment: '',
        ...{ pacmanConfig: null, pacmanRepository: null, logins: wanted.asked, check: null },
      };
      const input = `globalThis.asked = ${JSON.stringify(asked)};\n${program}`;
      const { stdout } = await inside([process.execPath, '--input-type=module', '-'], input);
      const answer = JSON.parse(stdout);
      if ('failed' in answer) throw new Error(answer.failed);
      // As systemd does when sshd is reloaded.
      await done(['kill', '-HUP', readFileSync(join(place.folder, 'pid'), 'utf8').trim()]);
      await answers();
      return Applied.parse(answer).changed;
    };

    const port = await freePort('127.0.0.1');
    const answers = async () => {
      const scan = ['-p', `${port}`, '-t', 'ed25519', '127.0.0.1'];
      await until(async () => (await execa('ssh-keyscan', scan, { reject: false })).stdout !== '');
    };
    const log = join(place.folder, 'sshd.log');
    const startSshd = async () => {
      const options = ['-o', 'ListenAddress=127.0.0.1', '-o', `PidFile=${place.folder}/pid`];
      await done(['ssh-keygen', '-A']);
      await done(['/usr/sbin/sshd', '-E', log, '-p', `${port}`, ...options]);
      const [type, bytes] = (await done(['cat', '/etc/ssh/ssh_host_ed25519_key.pub'])).split(' ');
      await answers();
      writeFileSync(join(place.folder, 'known_hosts'), `[127.0.0.1]:${port} ${type} ${bytes}\n`);
      return `${type} ${bytes}`;
    };
    const hostKey = await startSshd();

    const options = (identity: string) => [
      ...['-F', 'none', '-i', identity, '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes'],
      ...['-o', `UserKnownHostsFile=${join(place.folder, 'known_hosts')}`, '-o', 'ExitOnForwardFailure=yes'],
    ];
    const tried = async (program: string, argv: string[], input = ''): Promise<Tried> => {
      const env = { SSH_AUTH_SOCK: '' };
      const ran = await execa(program, argv, { input, reject: false, timeout: 20_000, env });
      return { exitCode: ran.exitCode, said: `${ran.stdout}\n${ran.stderr}` };
    };
    return {
      folder: place.folder,
      hostKey,
      port,
      key,
      enrol,
      done,
      stop,
      log: () => readFileSync(log, 'utf8'),
      /** Runs the SSH client. @param argv its options before the destination, and what comes after it. */
      ssh: (user: string, identity: string, argv: { before?: string[]; after?: string[] }) =>
        tried('ssh', [
          ...options(identity),
          ...['-p', `${port}`, ...(argv.before ?? []), `${user}@127.0.0.1`, ...(argv.after ?? [])],
        ]),
      /** Gives the SFTP client these lines, until one fails. */
      sftp: (user: string, identity: string, ...lines: string[]) =>
        tried(
          'sftp',
          [...options(identity), '-P', `${port}`, '-b', '-', `${user}@127.0.0.1`],
          `${lines.join('\n')}\n`,
        ),
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
export type LoginMachine = Awaited<ReturnType<typeof startLoginMachine>>;

/** Every way to go on from an SSH login, but to use SFTP. */
export const expectOnlySftp = async (machine: LoginMachine, user: string, identity: string) => {
  const ssh = (before: string[], after: string[] = []) => machine.ssh(user, identity, { before, after });
  const forwards = [
    ['-N', '-R', '0:127.0.0.1:22'],
    ['-W', `127.0.0.1:${machine.port}`],
    ['-N', '-w', '0:0'],
    ['-N', '-R', `${machine.folder}/remote.sock:127.0.0.1:22`],
  ];
  for (const forward of forwards) {
    const { exitCode, said } = await ssh(forward);
    expect({ forward, exitCode }).toEqual({ forward, exitCode: 255 });
    expect(said).toMatch(/forwarding failed|prohibited|refused|not permitted|Tunnel|tunnel/);
  }
  // What is asked for instead of SFTP is SFTP all the same: no shell, no program, no other subsystem, no terminal.
  for (const after of [['cat', `${stateHome}/keys/host.nkey`], ['id'], ['sh', '-c', 'id']]) {
    const { said } = await ssh([], after);
    expect(said).not.toMatch(/uid=|secret|SU[A-Z2-7]{20}/);
  }
  for (const before of [['-s'], ['-tt']]) {
    const { said } = await ssh(before, before[0] === '-s' ? ['netconf'] : []);
    expect(said).not.toMatch(/uid=|\$ |# /);
  }
};

/** A connection as an agent makes it. */
export const connected = (machine: LoginMachine, user: string, identity: string, folder: string) =>
  connect({ address: '127.0.0.1', port: machine.port, user, identity, hostKey: machine.hostKey, folder });

/** A test that makes users and mounts. */
export const onlyRoot = (test: () => Promise<void>) => async (context: TestContext) => {
  if (!canMount) return context.skip('only root can make users and mounts');
  await test();
};
