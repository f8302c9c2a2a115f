"""What a launch needs of a cloud's account and of the bucket, looked up before anything is made."""
