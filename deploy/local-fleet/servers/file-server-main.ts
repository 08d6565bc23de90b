import { rename, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { startFileServer } from './file-server.ts';

/** `file-server-main.ts --port N --port-file FILE NAME=FOLDER…`: runs until SIGTERM. */
const main = async () => {
  const { values, positionals } = parseArgs({
    options: { port: { type: 'string', default: '0' }, 'port-file': { type: 'string' } },
    allowPositionals: true,
  });
  const folders = Object.fromEntries(
    positionals.map((argument) => {
      const at = argument.indexOf('=');
      return [argument.slice(0, at), argument.slice(at + 1)];
    }),
  );
  const server = await startFileServer(folders, Number(values.port));
  const portFile = values['port-file'];
  if (portFile !== undefined) {
    await writeFile(`${portFile}.part`, `${server.port}\n`);
    await rename(`${portFile}.part`, portFile);
  }
  process.once('SIGTERM', () => void server.close());
};

await main();
