import { createRun } from '../../host/run.ts';
import { defaultCacheFolder } from '../places/default-folders.ts';
import { makeOwnAddon } from './sqlite-addon.ts';
import { makeSshAddon } from './ssh-addon.ts';

// Run by ./ka after it has installed the packages, whose own install scripts are off. These two addons are all that is
// compiled of them.
const run = createRun(() => undefined);
const say = (line: string) => void process.stderr.write(`ka: ${line}\n`);
await makeOwnAddon({ cacheFolder: defaultCacheFolder(), run, onProgress: say });
await makeSshAddon(run).catch((error: unknown) => {
  const said = error instanceof Error ? error.message : String(error);
  say(`ssh2's cipher was not compiled (${said}): copies over SSH are slower on this machine`);
});
