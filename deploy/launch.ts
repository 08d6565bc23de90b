import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { constants, Script } from 'node:vm';

// `ka` starts this: the command line, from one script and the code that V8 compiled when it was bundled.

const folder = import.meta.dirname;
const file = join(folder, 'cli.cjs');

/** Runs the command line in this process. */
const launch = (): void => {
  const script = new Script(readFileSync(file, 'utf8'), {
    filename: file,
    // Another V8 than the one that made it rejects this data and compiles the script itself.
    cachedData: readFileSync(join(folder, 'cli.cache')),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  script.runInThisContext()(createRequire(file), file, folder);
};

if (readFileSync(join(folder, '../stamp'), 'utf8') === process.version) launch();
else {
  // This Node is another one than the bundle was set up for: `ka` sets up again and runs the command.
  const { status } = spawnSync(join(folder, '../../ka'), process.argv.slice(2), {
    stdio: 'inherit',
    env: { ...process.env, KA_SET_UP: '1' },
  });
  process.exitCode = status ?? 1;
}
