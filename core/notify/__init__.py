"""Telling people and other systems what happened: events become messages, the outbox sends them."""
