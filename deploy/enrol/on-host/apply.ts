import { hash } from 'node:crypto';
import type { z } from 'zod';
import type { Run } from '../../../host/run.ts';
import type { Applied, Apply } from './asked.ts';
import { wantedGpgConfig } from './gpg-config.ts';
import { makeHostKey, makeIdentity, readKeys } from './host-keys.ts';
import { changeLogins } from './logins/logins.ts';
import { findOwner, ownerLookUp, rootsOwner } from './owner.ts';
import { wantedPacmanConfig } from './pacman-config.ts';
import { type PlacedFile, placeFile, placeFolder, placeLink } from './place-file.ts';

const owedBytes = Buffer.from('The units have to be restarted: enrol again.\n');
const owed = (path: string): PlacedFile => ({
  path,
  mode: 0o644,
  owner: rootsOwner(),
  sha256: hash('sha256', owedBytes, 'hex'),
});

/** Makes a host as asked. What is right already is not touched; after an interruption anywhere it can be repeated. */
export const apply = async (
  run: Run,
  asked: Apply,
  say: (line: string) => void,
): Promise<z.infer<typeof Applied>> => {
  const changed: string[] = [];
  const note = (what: string, did: boolean) => {
    if (!did) return;
    changed.push(what);
    say(what);
  };
  if (asked.user && !(await findOwner(run, asked.user.name))) {
    await run([
      'useradd',
      ...['--system', '--user-group', '--no-create-home', '--home-dir', asked.user.home],
      ...['--shell', '/usr/sbin/nologin', '--', asked.user.name],
    ]);
    note(`user ${asked.user.name}`, true);
  }
  const ownerOf = ownerLookUp(run);
  for (const folder of asked.folders)
    note(folder.path, await placeFolder({ ...folder, owner: await ownerOf(folder.owner) }));
  const { keyFile, identityFile, owedFile } = asked.places;
  const keysOwner = await ownerOf(asked.keysOf);
  if (asked.makesKeys) {
    note(keyFile, makeHostKey(keyFile, keysOwner));
    if (identityFile !== null)
      note(identityFile, await makeIdentity(run, identityFile, asked.identityComment, keysOwner));
  }
  if (asked.files.length + asked.links.length > 0) await placeFile(owed(owedFile), owedBytes);
  for (const file of asked.files)
    note(
      file.path,
      await placeFile({ ...file, owner: await ownerOf(file.owner) }, Buffer.from(file.base64, 'base64')),
    );
  if (asked.logins !== null) await changeLogins(run, asked.logins, note);
  if (asked.pacmanConfig !== null) {
    const wanted = await wantedGpgConfig(run, asked.pacmanConfig);
    if (wanted) note(wanted.file.path, await placeFile(wanted.file, wanted.bytes));
  }
  if (asked.pacmanRepository !== null) {
    const wanted = await wantedPacmanConfig(run, asked.pacmanRepository);
    if (wanted) note(wanted.file.path, await placeFile(wanted.file, wanted.bytes));
  }
  if (asked.check !== null) await run(asked.check, { timeoutMs: 120_000 });
  for (const { path, target } of asked.links) note(path, await placeLink(path, target));
  return { changed, ...readKeys(asked.places, keysOwner) };
};
