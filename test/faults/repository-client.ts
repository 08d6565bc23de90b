import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A view as a client has seen it. */
export interface ViewSeen {
  /** The link's target. */
  view: string;
  /** `name version` of each package in its database, sorted. */
  packages: string[];
}

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/**
 * Starts a client that polls a repository each millisecond until it is stopped: the database, its signature, and every
 * package that it names. It verifies everything new with the one keyring that it trusts.
 * @param repository the folder with the link `current`. @param name the repository's name.
 */
export const pollRepository = (repository: string, name: string, keyring: string) => {
  const current = (file: string) => join(repository, 'current', file);
  const verified = new Map<string, ViewSeen & { files: string[] }>();
  const order: ViewSeen[] = [];
  let polls = 0;
  /** How often two requests were on different sides of a swap, after which a client has to ask again. */
  let between = 0;

  const verify = (bytes: Uint8Array, signature: Uint8Array) => {
    const folder = mkdtempSync(join(tmpdir(), 'ka-client-'));
    try {
      const [file, sig] = [join(folder, 'file'), join(folder, 'file.sig')];
      writeFileSync(file, bytes);
      writeFileSync(sig, signature);
      // gpgv exits with another code than 0 if the signature is bad or its key is not in the keyring.
      execFileSync('gpgv', ['--keyring', keyring, '--', sig, file], { stdio: 'pipe' });
      return execFileSync('bash', ['-c', 'bsdtar -xOf "$0" "*/desc" 2>/dev/null || :', file], {
        encoding: 'utf8',
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  const look = () => {
    const view = readlinkSync(join(repository, 'current'));
    const [database, signature] = [
      readFileSync(current(`${name}.db`)),
      readFileSync(current(`${name}.db.sig`)),
    ];
    if (readlinkSync(join(repository, 'current')) !== view) {
      between += 1;
      return;
    }
    polls += 1;
    const key = `${view} ${hashOf(database)} ${hashOf(signature)}`;
    const known = verified.get(key);
    if (known) {
      for (const file of known.files) accessSync(current(file));
      return;
    }
    const entries = verify(database, signature)
      .split(/^(?=%FILENAME%$)/m)
      .filter((text) => text.startsWith('%FILENAME%'))
      .map((text) => (wanted: string) => new RegExp(`^%${wanted}%\n(.*)$`, 'm').exec(text)?.[1] ?? '');
    const files = entries.map((entry) => entry('FILENAME')).flatMap((file) => [file, `${file}.sig`]);
    for (const entry of entries) {
      const bytes = readFileSync(current(entry('FILENAME')));
      if (hashOf(bytes) !== entry('SHA256SUM'))
        throw new Error(`${entry('FILENAME')} is not what ${name}.db says`);
      verify(bytes, readFileSync(current(`${entry('FILENAME')}.sig`)));
    }
    const packages = entries.map((entry) => `${entry('NAME')} ${entry('VERSION')}`).sort();
    verified.set(key, { view, packages, files });
    order.push({ view, packages });
  };

  let stopped = false;
  const polling = (async () => {
    while (!stopped) {
      look();
      await sleep(1);
    }
  })();
  polling.catch(() => undefined); // it is awaited by `stop`
  return {
    /**
     * Ends it and returns what was seen, each view once, in order.
     * @throws {Error} if it met anything incomplete, unsigned, or missing.
     */
    stop: async (): Promise<{ polls: number; between: number; views: ViewSeen[] }> => {
      stopped = true;
      await polling;
      return { polls, between, views: order };
    },
  };
};
