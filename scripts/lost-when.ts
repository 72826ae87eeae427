/** `npm run lost-when`: writes docs/what-is-lost-when.md anew. */
import { writeFileSync } from 'node:fs';
import { lostWhenPage } from '../sim/lost-when.ts';

writeFileSync(new URL('../docs/what-is-lost-when.md', import.meta.url), await lostWhenPage());
