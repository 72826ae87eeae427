/** The process's first file: hands over to the command line. */
export {};
