"""What can be handed to somebody: a deployment, a drift check, an incident or a week, as one document."""
