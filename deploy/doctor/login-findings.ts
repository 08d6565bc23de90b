import { z } from 'zod';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { isMounted } from '../enrol/on-host/logins/store.ts';
import { hostPlaces } from '../enrol/places.ts';
import { type Finding, fine, wrong } from './finding.ts';

/** Who may log in to this machine as a peer, as enrolment wrote it down. */
export const WrittenLogins = z.object({
  logins: z.array(z.object({ host: z.string(), root: z.string(), stores: z.string().nullable() })),
});
export type WrittenLogins = z.infer<typeof WrittenLogins>;

/** A finding for each host that stores things here: whether that has an end. */
export const loginFindings = (file: string = hostPlaces.logins): Finding[] => {
  let written: WrittenLogins;
  try {
    written = readConfigFile(file, WrittenLogins);
  } catch {
    return []; // nobody logs in here, or this user may not read who does
  }
  return written.logins.flatMap(({ host, stores }) => {
    if (stores === null) return [];
    const what = `what ${host} stores in ${stores}`;
    if (isMounted(stores)) return [fine(what, 'it has a file system of its own')];
    return [
      wrong(
        what,
        'nothing limits it: it can fill the disk of this machine',
        `in this host's file, below logins.${host}.stores, write megabytes, and enrol this host again`,
      ),
    ];
  });
};
