import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readJournalBlob, readJournalMessages } from '../../agents/runtime/journal/read-journal.ts';
import type { RestoreMeans, RestoreSources } from '../../coordinator/commands/restore-command.ts';
import { hostNames, sandboxPlaces } from '../places/sandbox-places.ts';

/** The sources of a sandbox's log, if this is a sandbox's config; otherwise none are known. */
const sandboxRestoreSources = (configFile: string): RestoreSources => {
  const places = sandboxPlaces(dirname(dirname(configFile)));
  if (places.operatorConfig !== configFile || !existsSync(places.marker)) return { journals: {} };
  const journals = hostNames.map((host) => [host, join(places.host(host), 'state/journal.db')] as const);
  return {
    copy: join(places.control, 'state/log.db'),
    journals: Object.fromEntries(journals.filter(([, file]) => existsSync(file))),
    adminSeed: places.keyFile('admin'),
  };
};

/** The sources that a restore reads on this machine, and how it reads them. */
export const restoreMeans: RestoreMeans = {
  sourcesOf: sandboxRestoreSources,
  journals: { messages: readJournalMessages, blob: readJournalBlob },
};
