import { readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMap, parseDocument } from 'yaml';
import { Refused } from '../../coordinator/refused.ts';
import { Fleet } from '../../schemas/fleet.ts';
import type { Role } from '../../schemas/step-names.ts';
import { takeLock } from '../processes/lock.ts';

/** The fleet that a file's text describes. */
export const fleetIn = (text: string): Fleet => Fleet.parse(parseDocument(text).toJS());

export interface HostKeys {
  publicKey: string;
  /** The key that waits to replace it. */
  next: string | null;
}

/**
 * Returns the fleet's file with a host and its key; everything else, including comments, is kept. Returns the same text
 * if it holds the host already.
 * @param replacesKey the host was installed again: the pinned key is lost, and becomes an earlier, revoked key.
 * @throws {Refused} if the file has the host with another role, or with a key that the host does not have.
 */
export const withHost = (
  text: string,
  { host, role, keys, replacesKey }: { host: string; role: Role; keys: HostKeys; replacesKey: boolean },
): string => {
  const document = parseDocument(text);
  const fleet = Fleet.parse(document.toJS());
  const known = Object.hasOwn(fleet.hosts, host) ? fleet.hosts[host] : undefined;
  const [other] =
    Object.entries(fleet.hosts).find(
      ([name, { publicKey }]) => name !== host && [keys.publicKey, keys.next].includes(publicKey),
    ) ?? [];
  if (other !== undefined)
    throw new Refused(
      `the machine has the key that the fleet's file pins for ${other}: see where --ssh leads, or if ${other} is to become ${host}, remove its keys there (ka retire ${other} --purge)`,
    );
  if (!known) {
    const hosts = document.get('hosts');
    if (isMap(hosts)) hosts.flow = false; // `hosts: {}` of a fleet without any
    document.setIn(['hosts', host], document.createNode({ role, publicKey: keys.publicKey }));
  } else {
    if (known.role !== role)
      throw new Refused(`the fleet's file has ${host} as a ${known.role}, and its config says ${role}`);
    if ([keys.publicKey, keys.next].includes(known.publicKey)) return text;
    if (!replacesKey)
      throw new Refused(
        `the fleet's file pins ${known.publicKey} for ${host}, and the host has ${keys.publicKey}: if it was installed again, revoke the lost key (ka key revoke ${host} --why …), then enrol with --replace-key`,
      );
    const earlier = [known.publicKey, ...(known.earlierKeys ?? [])];
    document.setIn(['hosts', host, 'publicKey'], keys.publicKey);
    document.setIn(['hosts', host, 'earlierKeys'], earlier);
    document.setIn(
      ['hosts', host, 'revokedKeys'],
      [...new Set([known.publicKey, ...(known.revokedKeys ?? [])])],
    );
  }
  const changed = document.toString({ lineWidth: 0 });
  Fleet.parse(parseDocument(changed).toJS());
  return changed;
};

const lockWithinMs = 10_000;

/**
 * Changes the operator's fleet file as it is now, not as it was read minutes ago: two enrolments may run at once, and
 * somebody may have edited it. The new text is written beside it and renamed.
 * @throws {Refused} if another process holds it, or what `change` throws; the file is then unchanged.
 */
export const changeFleetFile = async (
  file: string,
  change: (text: string) => string,
): Promise<{ text: string; isChanged: boolean }> => {
  const real = await realpath(file);
  let letGo = await takeLock(`${real}.lock`);
  for (let waitedMs = 0; !letGo; waitedMs += 50) {
    if (waitedMs > lockWithinMs)
      throw new Refused(`another enrolment writes to ${file}: enrol again when it is done`);
    await sleep(50);
    letGo = await takeLock(`${real}.lock`);
  }
  try {
    const before = await readFile(real, 'utf8');
    const text = change(before);
    if (text === before) return { text, isChanged: false };
    await writeFile(`${real}.part`, text, { mode: (await stat(real)).mode & 0o777, flush: true });
    await rename(`${real}.part`, real);
    return { text, isChanged: true };
  } finally {
    await letGo();
  }
};
