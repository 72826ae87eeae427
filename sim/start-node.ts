export { startReferenceNode as startNode } from './reference-node.ts';
