import { spawn } from 'node:child_process';
import { failpoint } from '../../eventlog/failpoint.ts';

// What the test of the failpoints kills: it has a child and comes by two of them.
const child = spawn('sleep', ['60'], { stdio: 'ignore' });
failpoint('hertz', 'publish fetch intent');
failpoint('hertz', 'publish swap acted');
child.kill();
