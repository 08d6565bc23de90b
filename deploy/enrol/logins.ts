import { basename, dirname, join } from 'node:path';
import { Refused } from '../../coordinator/refused.ts';
import type { AgentConfig, HostLogins } from '../../schemas/config.ts';
import { type AskedLogins, type Login, loginUser, type Store } from './on-host/logins/asked-logins.ts';
import { agentUser, hostPlaces, loginsFolder, stateHome, storesFolder, unitFolder } from './places.ts';
import { type FileWithBytes, wantedFile } from './wanted-file.ts';

/** useradd's limit. useradd(8) */
const longestUser = 32;

const keysFile = (host: string): string => join(loginsFolder, `${host}.keys`);

/** The folder that a host offers to others. */
const offeredBy = (config: Exclude<AgentConfig, { role: 'board' }>): string =>
  config.role === 'builder' ? config.offeredFolder : config.repository.folder;

/** The other folders that a config names: nobody who logs in may see them. */
const ownOf = (config: Exclude<AgentConfig, { role: 'board' }>): string[] =>
  config.role === 'builder'
    ? [config.makepkg.sourcesFolder, config.makepkg.worktreesFolder]
    : [config.signing.gnupgHome];

const isIn = (path: string, folder: string): boolean => `${path}/`.startsWith(`${folder}/`);

/** @throws {Refused} if that folder can't be what others see as `/`. */
const rootOf = (config: Exclude<AgentConfig, { role: 'board' }>): string => {
  const offered = offeredBy(config);
  const root = dirname(offered);
  const next = `name a folder for it alone, such as /srv/kernel-agent/offered/packages`;
  const refuse = (why: string): never => {
    throw new Refused(`${offered} is offered to those who log in, who see ${root} as /, and ${why}: ${next}`);
  };
  if (dirname(root) === '/') refuse('everything beside it would be seen');
  if (isIn(root, stateHome)) refuse(`${stateHome} belongs to the agent's user`);
  const seen = [stateHome, ...ownOf(config)].find((path) => isIn(path, root));
  if (seen !== undefined) refuse(`${seen} is in it`);
  if (/["\\%\s]/.test(root)) refuse('sshd reads quotes, blanks, % and \\ in its name in other ways');
  return root;
};

/** A unit's name for a path, systemd-escape(1), -p. */
export const escapePath = (path: string): string =>
  [...Buffer.from(path.replace(/^\/+/, ''))]
    .map((byte, index) => {
      const letter = String.fromCharCode(byte);
      if (letter === '/') return '-';
      return /[A-Za-z0-9:_]/.test(letter) || (letter === '.' && index > 0)
        ? letter
        : `\\x${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');

const storeOf = (root: string, host: string, megabytes: number | null): Store => {
  const folder = join(root, host);
  const image = megabytes === null ? null : join(storesFolder, `${host}.img`);
  const name = `${escapePath(folder)}.mount`;
  const text = [
    '# Written by ka enrol: what this host may store has an end.',
    '[Unit]',
    `Description=kernel-agent's store for ${host}`,
    '[Mount]',
    `What=${image}`,
    `Where=${folder}`,
    'Type=ext4',
    'Options=loop,nosuid,nodev,noexec',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
  return {
    folder,
    image,
    bytes: (megabytes ?? 0) * 1024 * 1024,
    unit: { name, path: join(unitFolder, name), text },
  };
};

/** What sshd does with a login's user. In the drop-in with capitals, as a person reads it; `sshd -T` has none. */
const optionsFor = (root: string, { host, user, store }: Login): readonly (readonly [string, string])[] => [
  ['ChrootDirectory', root],
  ['ForceCommand', store ? 'internal-sftp -u 077' : 'internal-sftp -R'],
  ['AuthorizedKeysFile', keysFile(host)],
  // The machine's own lists of who may log in do not know this user.
  ['AllowUsers', user],
  ['AllowGroups', user],
  ['AuthorizedKeysCommand', 'none'],
  ['TrustedUserCAKeys', 'none'],
  ['AuthenticationMethods', 'publickey'],
  ['PubkeyAuthentication', 'yes'],
  ['PasswordAuthentication', 'no'],
  ['KbdInteractiveAuthentication', 'no'],
  ['HostbasedAuthentication', 'no'],
  ['DisableForwarding', 'yes'],
  ['AllowTcpForwarding', 'no'],
  ['AllowStreamLocalForwarding', 'no'],
  ['AllowAgentForwarding', 'no'],
  ['X11Forwarding', 'no'],
  ['GatewayPorts', 'no'],
  ['PermitTunnel', 'no'],
  ['PermitTTY', 'no'],
  ['PermitUserRC', 'no'],
];

const dropInText = (root: string, logins: readonly Login[]): string =>
  [
    '# Written by ka enrol, and written again by the next one: who may log in to this host as a peer, by SFTP alone.',
    ...logins.flatMap((login) => [
      `Match User ${login.user}`,
      ...optionsFor(root, login).map(([name, value]) => `  ${name} ${value}`),
    ]),
    '# Nobody logs in as the user of the agent, whatever is in its home.',
    `Match User ${agentUser}`,
    `  DenyUsers ${agentUser}`,
    'Match all',
    '',
  ].join('\n');

export interface WantedLogins {
  asked: AskedLogins;
  folders: { path: string; mode: number; owner: string }[];
  files: FileWithBytes[];
  links: { path: string; target: string }[];
}

/**
 * What a host needs so that others may log in: builders for the publisher, and the backup host for boards.
 * @param logins by the name of the host that logs in.
 * @returns null for a board, at which nobody logs in.
 * @throws {Refused} if the config's folders don't allow it.
 */
export const wantedLogins = (config: AgentConfig, logins: HostLogins): WantedLogins | null => {
  if (config.role === 'board') return null;
  const offered = offeredBy(config);
  const names = Object.keys(logins);
  const root = names.length === 0 ? dirname(offered) : rootOf(config);
  const link = config.role === 'publisher' && names.length > 0 ? 'views' : null;
  const entries = [basename(offered), ...(link === null ? [] : [link])];
  const all = Object.entries(logins).map(([host, { stores }]): Login => {
    const user = loginUser(host);
    if (user.length > longestUser)
      throw new Refused(
        `${host} would log in as ${user}, and a user's name has at most ${longestUser} letters`,
      );
    if (stores && entries.includes(host))
      throw new Refused(
        `${host} would store in ${join(root, host)}, which is something else: rename ${offered}`,
      );
    return { host, user, store: stores ? storeOf(root, host, stores.megabytes) : null };
  });
  const stores = all.flatMap(({ host, store }) => (store ? [host] : []));
  const seen = { logins: all.map(({ host, store }) => ({ host, root, stores: store?.folder ?? null })) };
  return {
    asked: {
      root,
      entries: [...entries, ...stores],
      logins: all,
      dropIn: { path: hostPlaces.sshdDropIn, text: dropInText(root, all) },
      effective: [
        { user: agentUser, lines: [`denyusers ${agentUser}`] },
        ...all.map((login) => ({
          user: login.user,
          lines: optionsFor(root, login).map(([name, value]) => `${name.toLowerCase()} ${value}`),
        })),
      ],
    },
    folders: [dirname(hostPlaces.sshdDropIn), ...(names.length === 0 ? [] : [root, loginsFolder])].map(
      (path) => ({
        path,
        mode: 0o755,
        owner: 'root',
      }),
    ),
    files: [
      wantedFile(hostPlaces.logins, `${JSON.stringify(seen, null, 2)}\n`, 0o644),
      ...Object.entries(logins).map(([host, { key }]) =>
        wantedFile(keysFile(host), `restrict ${key} ${host}\n`, 0o644),
      ),
    ],
    links: link === null ? [] : [{ path: join(root, link), target: `${basename(offered)}/${link}` }],
  };
};
