// The cameras of a picture: four scene captures in one place, the player's camera in the same place (for the video and
// for what textures are streamed in), and the settings of the lens.
//
// The four captures are rendered in one frame from one state of the world. The picture keeps a temporal history, which
// is what the settled frames fill; the other passes have none and no jitter, so each of their pixels is the middle of
// the picture's.
#pragma once

#include "CoreMinimal.h"
#include "GameFramework/Actor.h"

#include "Pure/TmvPlacement.h"
#include "TmvEncode.h"

#include "TmvRig.generated.h"

class ACameraActor;
class UMaterialInstanceDynamic;
class UMaterialInterface;
class USceneCaptureComponent2D;
class UTexture2D;
class UTextureRenderTarget2D;

/** What the lens does, beyond where it is. */
struct FTmvLens
{
	float ExposureBias = 0.f;     // stops
	float Aperture = 0.f;         // f-number; 0: everything is sharp
	float SensorWidth = 24.f;     // millimetres
	float FocusDistance = 500.f;  // centimetres
	bool bMotionBlur = false;
};

UCLASS(NotPlaceable, Transient)
class ATmvRig : public AActor
{
	GENERATED_BODY()

public:
	ATmvRig();

	/** The materials of the project; either may be nullptr. */
	void SetMaterials(UMaterialInterface* Stencil, UMaterialInterface* Marker);
	void Resize(int32 Width, int32 Height);
	void Aim(const tmv_ue::Camera& Camera, const FTransform& Stage);
	void SetLens(const FTmvLens& Lens);
	/** Shows the test card of a scene instead of the scene; an empty id shows the scene. */
	bool ShowCard(const std::string& SceneId);

	/** Forgets the temporal history: another scene begins. */
	void Cut();
	/** Renders a frame into the temporal history. */
	void Warm();
	/** Renders all passes that are wanted, now, and starts to read them back. */
	void Shoot(FTmvShot& Shot);

	const tmv_ue::Camera& Camera() const { return Aimed; }

protected:
	virtual void BeginPlay() override;
	virtual void EndPlay(const EEndPlayReason::Type Reason) override;

private:
	USceneCaptureComponent2D* MakeCapture(const TCHAR* Name);
	void Look(const FTransform& At, float Opening);

	UPROPERTY(Transient)
	TObjectPtr<USceneCaptureComponent2D> Rgb;

	UPROPERTY(Transient)
	TObjectPtr<USceneCaptureComponent2D> Mask;

	UPROPERTY(Transient)
	TObjectPtr<USceneCaptureComponent2D> Depth;

	UPROPERTY(Transient)
	TObjectPtr<USceneCaptureComponent2D> Normals;

	UPROPERTY(Transient)
	TObjectPtr<ACameraActor> Viewer;

	UPROPERTY(Transient)
	TObjectPtr<UMaterialInterface> MarkerParent;

	UPROPERTY(Transient)
	TObjectPtr<UMaterialInstanceDynamic> MarkerMaterial;

	UPROPERTY(Transient)
	TObjectPtr<UTexture2D> Card;

	tmv_ue::Camera Aimed;
	int32 Width = 0, Height = 0;
};
