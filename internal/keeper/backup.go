package keeper

import (
	"fmt"

	"filippo.io/age"

	"github.com/certfleet/certfleet"
)

// BackupRecipient encrypts backups to this sealing key.
func (k *Key) BackupRecipient() (age.Recipient, error) {
	id, err := k.identity()
	if err != nil {
		return nil, err
	}
	return id.Recipient(), nil
}

// BackupIdentity decrypts what was encrypted to BackupRecipient.
func (k *Key) BackupIdentity() (age.Identity, error) { return k.identity() }

// BackupText is the identity as the age program reads it (AGE-SECRET-KEY-1...),
// so that a backup can be opened even where certfleet is not.
func (k *Key) BackupText() (certfleet.Secret, error) {
	scalar, err := derive(k.secret, infoBackup, keySize)
	if err != nil {
		return nil, err
	}
	defer clear(scalar)
	return bech32("AGE-SECRET-KEY-", scalar), nil
}

func (k *Key) identity() (*age.X25519Identity, error) {
	text, err := k.BackupText()
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	id, err := age.ParseX25519Identity(string(text))
	if err != nil {
		return nil, fmt.Errorf("derive the backup identity of sealing key %s: %w", k.id, err)
	}
	return id, nil
}
