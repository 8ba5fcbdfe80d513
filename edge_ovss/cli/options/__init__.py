"""What each verb accepts: its options and examples, without anything the verb needs to run."""
