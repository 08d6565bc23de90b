import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readJournalBlob, readJournalMessages } from '../../agents/runtime/journal/read-journal.ts';
import type { RestoreMeans, RestoreSources } from '../../coordinator/commands/restore-command.ts';
import { hostNames, sandboxPlaces } from '../places/sandbox-places.ts';

/** What a sandbox's log is rebuilt from, if this is a sandbox's config; otherwise nothing is known. */
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

/** What a restore reads on this machine, and how. */
export const restoreMeans: RestoreMeans = {
  sourcesOf: sandboxRestoreSources,
  journals: { messages: readJournalMessages, blob: readJournalBlob },
};
