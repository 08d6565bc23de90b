import { Refused } from '../../coordinator/refused.ts';
import { changeHost, type EnrolledKeys } from './change-host.ts';
import { type BuildOptions, makeBuild } from './host-build.ts';
import { type HostLogin, openHostLine } from './host-line.ts';
import { type HostLook, type LookOptions, lookAtHost } from './look-at-host.ts';
import type { AddonTarget } from './node-gyp.ts';
import { whatRemains } from './plan.ts';
import { type HostFiles, type WantedHost, wantedHost } from './wanted-host.ts';

export interface EnrolOptions extends HostFiles, LookOptions, BuildOptions {
  login: HostLogin;
  /** Only reports what would be done. */
  dryRun?: boolean;
  /** Restarts the units even if the host is working. */
  force?: boolean;
}

export interface Enrolled {
  host: string;
  role: string;
  /** The build that runs there. */
  build: string;
  /** The sha256 of the machine code in it, better-sqlite3's addon, which was compiled from its source. */
  addonSha256: string;
  /** The host's NKey; null after a dry run on a host without one. */
  publicKey: string | null;
  /**
   * The public key with which it logs in to its peers, `ssh-ed25519 AAAA… kernel-agent@HOST`; null if it needs none.
   */
  sshPublicKey: string | null;
  /** What differed; after a dry run it still does. */
  differences: string[];
  /** Whether the units were restarted. */
  restarted: boolean;
  /** What is left to do by hand, elsewhere. */
  remains: string[];
}

const enrolledAs = (
  { host, config }: WantedHost,
  { build, differences }: HostLook,
  keys: EnrolledKeys | HostLook['seen'],
  restarted: boolean,
): Enrolled => ({
  host,
  role: config.role,
  build: build.name,
  addonSha256: build.addonSha256,
  publicKey: keys.key?.publicKey ?? null,
  sshPublicKey: keys.sshPublicKey,
  differences,
  restarted,
  remains: whatRemains(config, { isChanged: differences.length > 0, ...keys }),
});

/**
 * Makes a machine a host of the fleet, over SSH: its keys are made there, and its agent is installed and runs when this
 * returns. What is right already is not touched. After an interruption anywhere it can be repeated.
 * @throws {Refused} if the machine or the files don't allow it; nothing was changed then.
 */
export const enrolHost = async (options: EnrolOptions): Promise<Enrolled> => {
  const { host, login, signal, onProgress = () => undefined } = options;
  const wanted = await wantedHost(options);
  const line = await openHostLine(login, (said) => onProgress(`${host}: ${said}`), signal);
  try {
    const buildFor = (node: AddonTarget) => makeBuild(node, wanted.config.role, options);
    const look = await lookAtHost(line, wanted, buildFor, options);
    const isDone = look.differences.length === 0;
    const cut = isDone || options.force ? null : look.cut;
    if (cut !== null && !options.dryRun) throw new Refused(`${cut}; --force does it anyway`);
    if (cut !== null) onProgress(`only with --force now: ${cut}`);
    if (options.dryRun || isDone) return enrolledAs(wanted, look, look.seen, false);
    return enrolledAs(wanted, look, await changeHost(line, wanted, look, options), true);
  } finally {
    line.close();
  }
};
