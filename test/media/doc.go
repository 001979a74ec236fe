// SPDX-License-Identifier: Apache-2.0

// Package media measures what becomes of media as people have it: sources of every kind are ingested, cut at random and
// put into reels, and what comes out is decoded and compared with what was filmed.
//
// The kinds are in package kinds, what is right for them in package film, the comparison in package check. What is
// known to be wrong is in known_test.go. All of the product that is used is in pipeline.go.
//
//	make test-media                                  what CI runs
//	make test-media MEDIA='-media.kind ^slides'      one kind
//	make test-media MEDIA='-media.cuts 20 -media.reels 3 -media.mutations 60'
package media
