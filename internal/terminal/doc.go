// SPDX-License-Identifier: Apache-2.0

// Package terminal writes tables and progress bars for people. Where the
// output is no terminal it writes plain text, for files and other programs.
package terminal
