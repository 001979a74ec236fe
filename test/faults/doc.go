// SPDX-License-Identifier: Apache-2.0

// Package faults runs an Event's whole life again and again, and each time lets another one of its calls fail.
//
// A run is one process with a fake clock: the data plane with its real store behind a real HTTP server, the real
// object store, a real API server, the manager's real reconcilers called one at a time, and pods that talk through
// the real clients but have no media. A scheduler with a seed moves one of them at a time, so that the k-th call of
// a layer is the same one in each run.
//
// The layers are sql (the data plane's statements), http (calls of the data plane by its clients), s3 (calls of the
// object store by the data plane and by pods) and api (calls of the API server by the manager). The k-th call of a
// layer fails before its effect (before) or after it, so that only the answer is lost (after), or who made it stops
// there with all that it had in memory, before the effect (stop) or after it (kill). Calls of the data plane are also
// delivered twice, or late: by who goes on without an answer (late), or has died since (ghost). Then the run goes on
// without faults until the Event is done, swept and deleted, and is compared with the run in which nothing failed.
//
// Points are left out that equal others: the lost answer of a statement without lasting effect is its failure, since
// either is taken back (which is checked), and a process that ends leaves the same behind at all statements between
// two effects. Rows are in SQLite, or in PostgreSQL with -faults.postgres.
//
// What is proven: no unit, chunk, result, segment, clip or reel is lost or doubled, segments never overlap, Complete
// and Failed never go back, statuses equal the data plane's truth, each row's object is stored, what no row names is
// swept, and a deletion leaves what its policy keeps and nothing else.
package faults
