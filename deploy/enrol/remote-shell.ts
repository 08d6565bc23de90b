import type { Client, ClientChannel } from 'ssh2';

/**
 * One line for a POSIX shell that runs exactly this argv. An SSH channel carries a line and no argv (RFC 4254, 6.5),
 * and the user's login shell reads it.
 * @throws {Error} if there is no program, or an argument holds a NUL.
 */
export const quoteArgv = (argv: readonly string[]): string => {
  if (argv.length === 0 || argv[0] === '') throw new Error('an argv without a program');
  return argv
    .map((word) => {
      if (word.includes('\0')) throw new Error('an argument with a NUL in it');
      return `'${word.replaceAll("'", `'\\''`)}'`;
    })
    .join(' ');
};

export interface RanThere {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program on the other side of a connection, with `input` on its standard input.
 * @param onLine receives each line of its standard error as it comes.
 * @throws {Error} if the connection is lost or the program is killed.
 */
export const runThere = (
  client: Client,
  argv: readonly string[],
  { input, onLine = () => undefined }: { input?: string; onLine?: (line: string) => void } = {},
): Promise<RanThere> =>
  new Promise((resolve, reject) => {
    const lost = () => reject(new Error('the SSH connection was lost'));
    client.once('close', lost);
    const leave = () => client.removeListener('close', lost);
    client.exec(quoteArgv(argv), (error, channel: ClientChannel) => {
      if (error) return reject(error);
      const out: Buffer[] = [];
      let stderr = '';
      let line = '';
      channel.on('data', (piece: Buffer) => out.push(piece));
      channel.stderr.setEncoding('utf8').on('data', (piece: string) => {
        stderr += piece;
        const lines = (line + piece).split('\n');
        line = lines.pop() ?? '';
        for (const each of lines) onLine(each);
      });
      channel.on('close', (exitCode: number | null, killedBy?: string) => {
        leave();
        if (line !== '') onLine(line);
        if (typeof exitCode !== 'number')
          return reject(
            new Error(`${argv[0]} was ended there by ${killedBy ?? 'the loss of the connection'}`),
          );
        resolve({ exitCode, stdout: Buffer.concat(out).toString('utf8'), stderr });
      });
      channel.on('error', reject);
      channel.end(input ?? '');
    });
  });
