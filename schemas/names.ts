import { z } from 'zod';

/**
 * The names that travel in plans and events. Every one of them is safe as a path segment, as a NATS subject
 * token or as an argument: none can begin with `-` or `.`, hold a `/` (TreePath aside), a space or a wildcard.
 */
const name = (what: string, pattern: RegExp) => z.string().regex(pattern, { error: `must be ${what}` });

export const FleetName = name('a name like "reauktion": a-z, 0-9 and -', /^[a-z][a-z0-9-]{0,39}$/);
export const HostName = name('a host name like "boltzmann": a-z, 0-9 and -', /^[a-z][a-z0-9-]{0,39}$/);
export const IterationName = name('a name like "iter5": a-z, 0-9 and -', /^[a-z][a-z0-9-]{0,39}$/);
export const PersonName = name('a name like "sonnet-architect"', /^[A-Za-z][A-Za-z0-9._-]{0,59}$/);
/** A writer of events: `coordinator`, a host's name, or `@` and a person's. */
export const WriterName = name(
  'a writer like "boltzmann" or "@lars"',
  /^([a-z][a-z0-9-]{0,39}|@[A-Za-z][A-Za-z0-9_-]{0,59})$/,
);
/** A writer's Ed25519 public key, as an NKey of a NATS user. https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth */
export const PublicKey = name('the public NKey of a user: "U" and 55 letters or digits', /^U[A-Z2-7]{55}$/);
export const ClauseName = name('a clause like "C1"', /^[A-Z][A-Za-z0-9.-]{0,19}$/);
export const RepositoryName = name('a repository name like "kernel-agent"', /^[a-z][a-z0-9-]{0,59}$/);
export const TagName = name('a tag like "v7.0"', /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/);
export const BranchName = name('a branch like "main"', /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/);

/** One path segment. */
export const FileName = name(
  'a file name without "/", not starting with "-" or "."',
  /^[A-Za-z0-9_][A-Za-z0-9._+:@~-]{0,199}$/,
);

/** A relative path of such segments, forward slashes, no `.` or `..`. */
export const TreePath = name(
  'a relative path without ".." or leading "-" or "."',
  /^[A-Za-z0-9_][A-Za-z0-9._+:@~-]{0,199}(\/[A-Za-z0-9_][A-Za-z0-9._+:@~-]{0,199})*$/,
);

export const Sha256 = name('64 hexadecimal digits (sha256)', /^[0-9a-f]{64}$/);
/** A git object id; SHA-1 repositories. */
export const ObjectId = name('40 hexadecimal digits (a full git object id)', /^[0-9a-f]{40}$/);
export const Fingerprint = name(
  '40 upper-case hexadecimal digits (an OpenPGP fingerprint)',
  /^[0-9A-F]{40}$/,
);
export const SymbolName = name('a C identifier', /^[A-Za-z_][A-Za-z0-9_]{0,127}$/);
export const PackageName = name('a pacman package name', /^[a-z0-9@_+][a-z0-9@._+-]{0,99}$/);
/** `[epoch:]pkgver-pkgrel`, as pacman prints it. */
export const PackageVersion = name(
  'a version with a pkgrel, like "7.0-2"',
  /^(\d+:)?[A-Za-z0-9][A-Za-z0-9._+~]*-\d+(\.\d+)?$/,
);
/** What `uname -r` prints. */
export const Release = name(
  'a kernel release like "7.0.0-fresnel-fourier"',
  /^[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}$/,
);
/** A path in a package as the machine has it, or, with a slash at its end, a folder with all below it. */
export const PackagePath = name(
  'an absolute path like "/etc/mkinitcpio.d/linux.preset", or a folder like "/usr/src/linux/"',
  /^(\/([!--0-~]|\.[!--0-~]|\.\.[!-.0-~])[!-.0-~]{0,254}){1,40}\/?$/,
);
/** What an approved tree is for. */
export const PurposeName = name('a name like "packaging"', /^[a-z][a-z0-9-]{0,39}$/);
/** A row or a path of the sweep. */
export const CellName = name('a name like "h264" or "kernel-direct"', /^[a-z][a-z0-9._-]{0,39}$/);
