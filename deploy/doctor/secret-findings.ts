import { closeSync, openSync, readdirSync, readSync, type Stats, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { formerKeyFile, nextKeyFile } from '../../eventlog/signing/key-file.ts';
import { type Finding, fine, wrong } from './finding.ts';
import { keysOf, type LocalConfig } from './local-configs.ts';

/** A secret that a config names. */
interface KeptSecret {
  what: string;
  path: string;
}

const spellMode = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');

const look = (path: string): Stats | undefined => {
  try {
    return statSync(path);
  } catch {
    return undefined; // not there, or not to be seen by this user: then it is closed to others too
  }
};

const list = (folder: string): string[] => {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
};

/** The private keys that a config names, apart from the key in use, which has findings of its own. */
const secretsOf = (config: LocalConfig): KeptSecret[] => {
  const { peers = {}, git, signing } = config;
  const home = signing?.gnupgHome;
  const private_ = home === undefined ? [] : [join(home, 'private-keys-v1.d')];
  const identities = [...Object.values(peers).map(({ identity }) => identity), git?.ssh?.identity];
  return [
    ...keysOf(config).flatMap(({ writer, keyFile }) =>
      [nextKeyFile(keyFile), formerKeyFile(keyFile)].map((path) => ({ what: `key of ${writer}`, path })),
    ),
    ...identities.flatMap((path) => (path === undefined ? [] : [{ what: 'SSH key', path }])),
    ...(home === undefined ? [] : [home, ...private_]).map((path) => ({
      what: 'folder of OpenPGP keys',
      path,
    })),
    ...private_.flatMap((folder) =>
      list(folder).map((name) => ({ what: 'OpenPGP secret key', path: join(folder, name) })),
    ),
  ];
};

/** Nobody but its owner may read a secret, or reach what is in its folder. */
const modeFinding = ({ what, path }: KeptSecret): Finding[] => {
  const seen = look(path);
  if (!seen) return [];
  const named = `${what}, ${path}`;
  const wanted = seen.isDirectory() ? '0700' : '0600';
  if ((seen.mode & 0o077) === 0) return [fine(named, `only its owner can read it`)];
  return [
    wrong(named, `its mode is ${spellMode(seen.mode)}`, `chmod ${wanted} ${path}; others may have read it`),
  ];
};

const headBytes = 4096;
const readHead = (path: string): Buffer => {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(headBytes);
    return head.subarray(0, readSync(file, head));
  } finally {
    closeSync(file);
  }
};

/** Whether bytes begin with an OpenPGP secret key, RFC 9580 section 4.2: a packet of type 5, then its version. */
const isSecretPacket = (head: Buffer): boolean => {
  const [tag = 0, length = 0] = head;
  const isOld = (tag & 0xfc) === 0x94;
  if (!isOld && tag !== 0xc5) return false;
  const oldLengthBytes = [1, 2, 4][tag & 3] ?? 0;
  const newLengthBytes = length < 192 ? 1 : length < 224 ? 2 : 5;
  const version = head[1 + (isOld ? oldLengthBytes : newLengthBytes)] ?? 0;
  return version >= 3 && version <= 6;
};

/** The private half of a key that bytes hold, by its name; undefined if they hold none. */
export const secretIn = (head: Buffer): string | undefined => {
  const text = head.toString('latin1');
  if (/^-----BEGIN PGP PRIVATE KEY BLOCK-----/m.test(text) || isSecretPacket(head))
    return 'OpenPGP secret key';
  const [, kind] = /^-----BEGIN ([A-Z]{1,12} )?PRIVATE KEY-----/m.exec(text) ?? [];
  if (kind !== undefined || text.includes('-----BEGIN PRIVATE KEY-----'))
    return kind === 'OPENSSH ' ? 'SSH key' : 'private key';
  return /^S[ACNOUX][A-Z2-7]{56}\s*$/m.test(text) ? 'NKey' : undefined;
};

/** A secret that lies where everybody can read it: a copy that somebody has left, or a key with a wrong mode. */
const strayFinding = (path: string): Finding[] => {
  const seen = look(path);
  // A group may read a TLS key, for its server: only what everybody may read, or others may write, is wrong.
  if (!seen?.isFile() || (seen.mode & 0o026) === 0) return [];
  let secret: string | undefined;
  try {
    secret = secretIn(readHead(path));
  } catch {
    return []; // this user may not read it
  }
  if (secret === undefined) return [];
  const found = `a ${secret} with the mode ${spellMode(seen.mode)}`;
  return [
    wrong(
      `secret in ${path}`,
      found,
      `shred -u ${path} if it is a copy, otherwise chmod 0600 ${path}; others may have read it, so think of a new key`,
    ),
  ];
};

/** Where configs and keys are, and where files land that are copied to a machine. */
const placesOf = (configs: readonly LocalConfig[]): string[] => [
  '/etc/kernel-agent',
  homedir(),
  process.cwd(),
  ...configs.flatMap((config) => [
    dirname(config.file),
    ...[config.fleetFile, config.trustFile].flatMap((file) => (file === undefined ? [] : [dirname(file)])),
    ...keysOf(config).map(({ keyFile }) => dirname(keyFile)),
    ...(config.signing?.gnupgHome === undefined
      ? []
      : [config.signing.gnupgHome, dirname(config.signing.gnupgHome)]),
  ]),
];

/** A finding for each private key on this machine that a config names, and for each that lies open beside them. */
export const secretFindings = (configs: readonly LocalConfig[]): Finding[] => {
  const kept = new Map(configs.flatMap(secretsOf).map((secret) => [secret.path, secret]));
  const own = new Set([...kept.keys(), ...configs.flatMap(keysOf).map(({ keyFile }) => keyFile)]);
  const stray = new Set(
    [...new Set(placesOf(configs))].flatMap((folder) => list(folder).map((name) => join(folder, name))),
  );
  return [
    ...[...kept.values()].flatMap(modeFinding),
    ...[...stray].filter((path) => !own.has(path)).flatMap(strayFinding),
  ];
};
